use crate::message::{Fields, Nominated};

/// Do the nominated fields of a stored response match this request's (RFC 9111 §4.1)?
pub fn matches(_nominated: &[Nominated], _request: &Fields) -> bool {
    todo!()
}

pub fn renominate(_n: &[Nominated], _request: &Fields) -> Vec<Nominated> {
    todo!()
}
