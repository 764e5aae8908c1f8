//! Reaches an http origin by https, for origins that redirect there.

use std::{
    cell::OnceCell,
    sync::{Arc, OnceLock},
};

use crate::origin::{self, Origin, Prepared};

/// The same host by https, for an http origin on port 80. The client for it is made when it is first needed.
pub struct Secure {
    plain: Prepared,
    prepared: Arc<OnceLock<Option<Prepared>>>,
    client: OnceCell<Option<Origin>>,
}

impl Secure {
    /// Returns `None` where the origin is not an http origin on port 80. The workers share `prepared`.
    pub fn of(plain: &Prepared, prepared: &Arc<OnceLock<Option<Prepared>>>) -> Option<Secure> {
        if plain.options().https || plain.options().port != 80 {
            return None;
        }
        Some(Secure { plain: plain.clone(), prepared: prepared.clone(), client: OnceCell::new() })
    }

    pub(super) fn client(&self) -> Option<&Origin> {
        let prepared = self.prepared.get_or_init(|| {
            let options = origin::Options { https: true, port: 443, ..self.plain.options().clone() };
            let prepared = self.plain.beside(options);
            prepared
                .inspect_err(|error| log::warn!("the origin redirects to https, which cannot be used: {error}"))
                .ok()
        });
        self.client.get_or_init(|| prepared.clone().map(Origin::new)).as_ref()
    }
}
