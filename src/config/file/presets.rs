//! Ready lists of rules for the repositories of package managers.
//!
//! A preset must not break the client. So each index is validated before each use, unless the repository itself gives it a
//! lifetime. What has its digest in its name is kept for a year. A file that has its version in its name is kept for days,
//! and a file that changed a short time ago for a tenth of that time.

use super::{
    document::{self, Value},
    rule::{self, Draft},
};

/// The names of the presets, and their rules.
const PRESETS: [(&str, &str); 6] = [
    (
        "apt",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]] # of different ages they do not fit together
path = ["/**/dists/**", "/**/{InRelease,Release,Release.gpg}", "/**/{Packages,Sources,Contents-*}", "/**/{Packages,Sources,Contents-*}.*"]
ttl = "0s"
[[rule]]
path = ["/**/by-hash/MD5Sum/*", "/**/by-hash/SHA{1,256,512}/*"]
ttl = "365d"
[[rule]]
path = "/**/*.{deb,udeb,ddeb,dsc,tar.gz,tar.xz,tar.bz2,tar.zst}"
default-ttl = "7d"
"#,
    ),
    (
        "pip",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]]
path = ["/**/*.{whl,egg,zip,tar.gz,tar.bz2,tar.xz}", "/**/*.whl.metadata"]
default-ttl = "7d"
ignore = ["set-cookie"]
"#,
    ),
    (
        "npm",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]]
path = "/**/*.tgz"
default-ttl = "7d"
ignore = ["set-cookie"]
"#,
    ),
    (
        "cargo",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]]
path = ["/**/*.crate", "/**/crates/*/*/download"]
default-ttl = "7d"
ignore = ["set-cookie"]
"#,
    ),
    (
        "docker",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]]
path = ["/**/blobs/sha256:*", "/**/manifests/sha256:*"]
ttl = "365d"
"#,
    ),
    (
        "maven",
        r#"
[[rule]]
default-ttl = "0s"
stale-if-error = "7d"
[[rule]]
path = "/**/*.{aar,ear,jar,klib,module,pom,war,zip,asc,md5,sha1,sha256,sha512}"
default-ttl = "7d"
[[rule]] # with its checksum in another file, which must be as old
path = ["/**/maven-metadata.xml", "/**/maven-metadata.xml.*", "/**/*-SNAPSHOT/**"]
ttl = "0s"
"#,
    ),
];

pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|(name, _)| *name).collect()
}

/// Returns the rules of a preset. Errors name this line for them. Returns `None` if there is no such preset.
pub fn rules(name: &str, line: usize) -> Option<Vec<Draft>> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    let entries = document::parse(text).unwrap_or_default();
    let Value::List(tables) = entries.into_iter().next()?.value.value else { return None };
    let rule = |(nth, table): (usize, document::Written)| {
        let Value::Table(mut entries) = table.value else { return None };
        entries.iter_mut().for_each(|entry| entry.line = line);
        Some(rule::rule(&entries, format!("rule {} of preset {name}", nth + 1).into(), line, &mut |_| {}))
    };
    tables.into_iter().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Seconds,
        message::{Fields, Method, ResponseHead, StatusCode},
        rules::{Asked, Rules, Settings},
    };

    fn set(preset: &str, target: &str, status: u16) -> Settings {
        let specs = rules(preset, 1).unwrap().into_iter().map(|draft| draft.spec).collect();
        let rules = Rules::new(specs).unwrap();
        let fields = Fields::new();
        let asked = rules.asked(Asked { method: &Method::GET, path_and_query: target, fields: &fields });
        let answer = ResponseHead { status: StatusCode::from_u16(status).unwrap(), fields: Fields::new() };
        rules.merged(&rules.answered(&asked, &answer)).set
    }

    #[test]
    fn every_preset_is_a_list_of_valid_rules() {
        for (name, text) in PRESETS {
            let rules = rules(name, 7).unwrap();
            assert_eq!(rules.len(), text.matches("[[rule]]").count(), "{name}");
            assert!(rules.iter().all(|rule| rule.spec.set != Settings::default() && rule.line("path") == 7), "{name}");
            let entries = document::parse(text).unwrap();
            let Value::List(tables) = &entries[0].value.value else { panic!() };
            for table in tables {
                rule::rule(table.table("").unwrap(), name.into(), 1, &mut |wrong| panic!("{name}: {wrong:?}"));
            }
            assert_eq!(set(name, "/index", 200).default_ttl, Some(Seconds(0)), "{name}");
        }
        assert_eq!(rules("gem", 1), None);
    }

    #[test]
    fn an_index_is_validated_each_time_and_what_never_changes_is_kept() {
        const DAY: u64 = 86_400;
        let given = |days: u64| (Some(Seconds(days * DAY)), Some(Seconds(0)));
        let (validated, invented) = ((None, Some(Seconds(0))), (None, Some(Seconds(7 * DAY))));
        for (preset, target, expected) in [
            ("apt", "/debian/dists/stable/InRelease", given(0)),
            ("apt", "/debian/dists/stable/main/binary-amd64/Packages.gz", given(0)),
            ("apt", "/flat/Packages.xz", given(0)),
            ("apt", "/Release", given(0)),
            ("apt", "/debian/dists/stable/main/binary-amd64/by-hash/SHA256/0af1", given(365)),
            ("apt", "/debian/pool/main/a/apt/apt_2.6.1_amd64.deb", invented),
            ("apt", "/debian/pool/main/a/apt/apt_2.6.1.tar.xz", invented),
            ("pip", "/simple/flask/", validated),
            ("pip", "/pypi/flask/json", validated),
            ("pip", "/packages/ab/cd/flask-3.0.0-py3-none-any.whl", invented),
            ("pip", "/packages/ab/cd/flask-3.0.0-py3-none-any.whl.metadata", invented),
            ("pip", "/packages/ab/cd/flask-3.0.0.tar.gz", invented),
            ("npm", "/react", validated),
            ("npm", "/@scope%2fname", validated),
            ("npm", "/react/-/react-18.0.0.tgz", invented),
            ("npm", "/npm/@scope/name/-/name-1.0.0.tgz", invented),
            ("cargo", "/index/config.json", validated),
            ("cargo", "/th/in/thing", validated),
            ("cargo", "/crates/serde/serde-1.0.0.crate", invented),
            ("cargo", "/api/v1/crates/serde/1.0.0/download", invented),
            ("docker", "/v2/library/nginx/manifests/latest", validated),
            ("docker", "/v2/library/nginx/tags/list", validated),
            ("docker", "/v2/", validated),
            ("docker", "/v2/library/nginx/blobs/sha256:0af1", given(365)),
            ("docker", "/hub/v2/nginx/manifests/sha256:0af1", given(365)),
            ("maven", "/org/example/parent/maven-metadata.xml", (Some(Seconds(0)), Some(Seconds(0)))),
            ("maven", "/org/example/parent/1.0/parent-1.0.pom", invented),
            ("maven", "/org/example/parent/1.0/parent-1.0.jar.sha1", invented),
        ] {
            let set = set(preset, target, 200);
            assert_eq!((set.ttl, set.default_ttl), expected, "{preset} {target}");
        }
        for target in ["/g/a/maven-metadata.xml.sha1", "/g/a/1.0-SNAPSHOT/a-1.0-SNAPSHOT.jar"] {
            assert_eq!(set("maven", target, 200).ttl, Some(Seconds(0)), "{target}");
        }
    }

    #[test]
    fn what_is_missing_and_a_redirect_to_a_signed_url_get_no_lifetime() {
        for status in [302, 307, 401, 403, 404] {
            assert_eq!(set("docker", "/v2/a/blobs/sha256:0af1", status).ttl, None, "{status}");
        }
    }
}
