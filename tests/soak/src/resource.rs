//! Which resources there are, and what each answer's bytes must be.

use crate::random::{Rng, mix};

/// Stands for every credential that a client or the origin sends; no log may hold it. No `u` in it: a user's number
/// follows the last one.
pub const CANARY: &str = "CANARY-7f3a";

/// Parameters whose values no log may hold (SECURITY.md, 9).
const SECRET: [&str; 8] = ["token", "api_key", "client_secret", "password", "sig", "session", "code", "%74oken"];

pub fn hash(text: &str) -> u64 {
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

/// How the resources behind one letter behave.
pub struct Kind {
    pub letter: char,
    pub fields: &'static [&'static str],
    /// Milliseconds for which an answer may be given again; `None`: it must be this request's own.
    pub lifetime: Option<u64>,
    pub own: Own,
}

#[derive(PartialEq, Clone, Copy)]
pub enum Own {
    /// Anybody's.
    Shared,
    /// Varies on X-Kind.
    Varies,
    /// Made for one request: its number is in the answer.
    Request,
    /// Shared, but it has to be validated each time.
    Validated,
}

const HOUR: u64 = 3_600_000;

#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { letter: 'c', fields: &["Cache-Control: max-age=30"], lifetime: Some(30_000), own: Own::Shared },
    Kind { letter: 'd', fields: &["Cache-Control: max-age=2, public"], lifetime: Some(2_000), own: Own::Shared },
    Kind { letter: 'm', fields: &["Cache-Control: max-age=1, must-revalidate"], lifetime: Some(1_000), own: Own::Shared },
    Kind { letter: 'w', fields: &["Cache-Control: max-age=1, stale-while-revalidate=2"], lifetime: Some(3_000), own: Own::Shared },
    Kind { letter: 'i', fields: &["Cache-Control: max-age=1, stale-if-error=5"], lifetime: Some(6_000), own: Own::Shared },
    Kind { letter: 'h', fields: &[], lifetime: Some(HOUR), own: Own::Shared },
    Kind { letter: 'v', fields: &["Cache-Control: max-age=20", "Vary: X-Kind"], lifetime: Some(20_000), own: Own::Varies },
    Kind { letter: 'q', fields: &["Cache-Control: public, max-age=20"], lifetime: Some(20_000), own: Own::Shared },
    Kind { letter: 'e', fields: &["Cache-Control: no-cache"], lifetime: Some(0), own: Own::Validated },
    Kind { letter: 'p', fields: &["Cache-Control: private, max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 'a', fields: &["Cache-Control: max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 's', fields: &["Cache-Control: max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 't', fields: &["Cache-Control: max-age=10"], lifetime: Some(10_000), own: Own::Shared },
    // what the connection was authenticated for
    Kind { letter: 'k', fields: &["Cache-Control: public, max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 'n', fields: &["Cache-Control: no-store"], lifetime: None, own: Own::Request },
];

/// URLs of each kind.
pub const URLS: u64 = 1500;

/// Which resource: a kind and a number.
#[derive(Clone, Copy, PartialEq)]
pub struct Resource {
    pub kind: usize,
    pub number: u64,
}

impl Resource {
    pub fn kind(self) -> &'static Kind {
        &KINDS[self.kind]
    }

    /// With its query: the kind `t` has a credential in it.
    pub fn path(self) -> String {
        let (letter, number) = (self.kind().letter, self.number);
        match letter {
            't' => format!("/t/{number}?a=b&{}={CANARY}-{number}&c=d", SECRET[number as usize % SECRET.len()]),
            _ => format!("/{letter}/{number}"),
        }
    }

    pub fn of(path: &str) -> Option<Resource> {
        let (letter, number) = path.split('?').next()?.strip_prefix('/')?.split_once('/')?;
        let kind = KINDS.iter().position(|kind| letter == kind.letter.to_string())?;
        let resource = Resource { kind, number: number.parse().ok().filter(|number| *number < URLS)? };
        (resource.path() == path).then_some(resource)
    }

    pub fn slot(self) -> usize {
        self.kind * URLS as usize + self.number as usize
    }
}

/// What an answer is: its bytes follow from all of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub path: String,
    pub user: u64,
    pub variant: String,
    pub version: u64,
    /// The request it was made for; 0 where it is shared.
    pub request: u64,
    pub length: u64,
}

impl Identity {
    pub fn text(&self) -> String {
        let Identity { path, user, variant, version, request, length } = self;
        format!("{path}|{user}|{variant}|{version}|{request}|{length}")
    }

    pub fn parse(text: &str) -> Option<Identity> {
        let mut parts = text.split('|');
        let mut next = || parts.next().map(str::to_owned);
        let (path, user, variant) = (next()?, next()?, next()?);
        let mut number = || next()?.parse().ok();
        Some(Identity {
            path,
            user: user.parse().ok()?,
            variant,
            version: number()?,
            request: number()?,
            length: number()?,
        })
    }

    pub fn tag(&self) -> String {
        format!("\"{}-{:x}\"", self.version, hash(&self.text()))
    }

    /// The body's bytes: no two identities share them.
    pub fn body(&self) -> Vec<u8> {
        bytes(hash(&self.text()), self.length as usize)
    }
}

/// A request's content. That of every third is itself a request, which nobody may ever read as one.
pub fn content(number: u64, length: usize) -> Vec<u8> {
    let hidden = b"GET /hidden HTTP/1.1\r\nHost: soak.test\r\n\r\n";
    match number % 3 {
        0 => hidden.iter().copied().cycle().take(length).collect(),
        _ => bytes(number, length),
    }
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&rng.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes of a resource's answers.
pub fn length_of(resource: Resource, version: u64) -> u64 {
    length(resource.slot() as u64 * 1_000_003 + version % 5)
}

/// 0 B to 2 MiB, mostly small.
pub fn length(seed: u64) -> u64 {
    let mut rng = Rng(seed);
    match rng.below(1000) {
        0..20 => 0,
        20..700 => rng.below(2 << 10),
        700..930 => rng.below(24 << 10),
        930..994 => rng.below(320 << 10),
        _ => rng.below(2 << 20),
    }
}
