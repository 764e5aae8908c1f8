//! Digests that stand for the values of credentials if a stored response depends on them.

/// The key of the digests: a secret of the cache folder. Without the key nobody can test which value a digest stands
/// for. If the key changes, no stored response that depends on a credential matches any more.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    pub fn new(secret: [u8; 32]) -> DigestKey {
        DigestKey(secret)
    }

    /// Returns the digest of a value.
    pub fn digest(&self, value: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, value).as_bytes()
    }
}

/// Never shows the secret.
impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey")
    }
}
