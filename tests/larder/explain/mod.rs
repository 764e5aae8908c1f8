//! `larder explain`: what it says would happen is what happens.

mod agreement;
mod screens;

use larder::{
    admin::{self, Command},
    explanation::{Explanation, Wanted},
};

use crate::support::Proxy;

/// A request for this target by the host of all tests.
pub fn wanted(method: &str, target: &str, fields: &[&str]) -> Wanted {
    let pair = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    Wanted {
        method: method.to_owned(),
        target: target.to_owned(),
        host: Some("larder.test".to_owned()),
        fields: fields.iter().map(pair).collect(),
        data: None,
        ask: false,
    }
}

/// Asks a running Larder through its control socket.
pub fn explain(proxy: &Proxy, wanted: &Wanted) -> Explanation {
    let answer = admin::ask(&proxy.folder(), &Command::Explain(wanted.clone())).unwrap();
    serde_json::from_value(answer).unwrap()
}
