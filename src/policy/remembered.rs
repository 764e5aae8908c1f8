//! Normal forms of field values. Clients send few different ones, and to make one costs more than the rest of a hit.

use std::{
    cell::RefCell,
    hash::{BuildHasher, RandomState},
};

use crate::message::{FieldName, Fields};

/// Values that a thread remembers. A value that falls to the place of another one takes it.
const PLACES: usize = 64;
/// The longest value that is remembered, in bytes.
const LONGEST: usize = 256;

struct Remembered {
    name: FieldName,
    value: Vec<u8>,
    normal: Option<Vec<u8>>,
}

thread_local! {
    static REMEMBERED: RefCell<[Option<Remembered>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
    static HASHER: RandomState = RandomState::new();
}

/// Returns the normal form of a field, from `form` where it is not remembered. `form` must depend on the field's value alone.
pub(super) fn normal_form(
    name: &FieldName,
    fields: &Fields,
    form: impl FnOnce(&Fields) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let value = fields.only(name).map(|value| value.as_bytes()).filter(|value| value.len() <= LONGEST);
    let Some(value) = value else { return form(fields) };
    let place = HASHER.with(|hasher| hasher.hash_one((name.as_str(), value))) as usize % PLACES;
    REMEMBERED.with_borrow_mut(|places| match &places[place] {
        Some(known) if known.value == value && known.name == *name => known.normal.clone(),
        _ => {
            let normal = form(fields);
            places[place] = Some(Remembered { name: name.clone(), value: value.to_vec(), normal: normal.clone() });
            normal
        }
    })
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};

    use super::*;
    use crate::message::FieldValue;

    #[test]
    fn a_value_is_formed_once_and_never_taken_for_that_of_another_field() {
        let formed = std::cell::Cell::new(0);
        let form = |fields: &Fields| {
            formed.set(formed.get() + 1);
            fields.iter().next().map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()].concat())
        };
        for round in 1..=2 {
            for name in [ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
                let fields: Fields = [(name.clone(), FieldValue::from_static("a"))].into_iter().collect();
                let normal = normal_form(&name, &fields, form).unwrap();
                assert_eq!(normal, [name.as_str().as_bytes(), b"a"].concat(), "in round {round}");
            }
        }
        assert!((2..=4).contains(&formed.get()), "{formed:?}: both may fall to one place");
    }

    #[test]
    fn more_values_than_places_are_all_formed_right() {
        for n in (0..1000).chain(0..1000) {
            let value = FieldValue::try_from(format!("value-{n}")).unwrap();
            let fields: Fields = [(ACCEPT_ENCODING, value.clone())].into_iter().collect();
            let form = |fields: &Fields| fields.first(&ACCEPT_ENCODING).map(|value| value.as_bytes().to_vec());
            assert_eq!(normal_form(&ACCEPT_ENCODING, &fields, form).as_deref(), Some(value.as_bytes()));
        }
    }
}
