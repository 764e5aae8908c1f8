//! The parameters of a query: which of them are part of the key, and in which order.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// One parameter, as it was sent and decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// All of it: `name=value`.
    pub raw: &'a str,
    pub raw_name: &'a str,
    pub raw_value: &'a str,
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
}

/// Returns the parameters of a target, in order. `&` alone parts them.
pub fn parameters(path_and_query: &str) -> impl Iterator<Item = Parameter<'_>> {
    let query = path_and_query.split_once('?').map(|(_, query)| query);
    query.into_iter().flat_map(|query| query.split('&')).map(Parameter::of)
}

impl<'a> Parameter<'a> {
    fn of(raw: &'a str) -> Parameter<'a> {
        let (raw_name, raw_value) = raw.split_once('=').unwrap_or((raw, ""));
        Parameter { raw, raw_name, raw_value, name: decode(raw_name), value: decode(raw_value) }
    }

    /// Returns the parameters that an origin finds in this one if `;` parts parameters for it, too. Forms are sent with `&`
    /// (WHATWG URL §5.1); HTML 4.01 B.2.2 asked servers to take both, and CGI.pm, Rack 2, Plack and Python before 3.9.2 do.
    pub fn at_semicolons(&self) -> impl Iterator<Item = Parameter<'a>> + use<'a> {
        self.raw.split(';').map(Parameter::of)
    }
}

/// Returns the target with the parameters that `keep` accepts, sorted by name if `sort`. Parameters of the same name keep
/// their order. A query with `;` is not sorted: where that parts parameters, their order would change.
pub fn select<'a>(path_and_query: &'a str, keep: impl Fn(&Parameter<'_>) -> bool, sort: bool) -> Cow<'a, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.into() };
    let mut kept: Vec<Parameter<'a>> = parameters(path_and_query).filter(keep).collect();
    if sort && !query.contains(';') {
        kept.sort_by(|one, other| one.name.cmp(&other.name));
    }
    let kept: Vec<&str> = kept.iter().map(|parameter| parameter.raw).collect();
    let selected = kept.join("&");
    match selected.as_str() {
        same if same == query => path_and_query.into(),
        "" => path.into(),
        selected => format!("{path}?{selected}").into(),
    }
}

/// Decodes percent-codes and plus signs, as forms are sent. Bytes that are not UTF-8 are replaced.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_forms_are_sent() {
        for (raw, name, value) in [
            ("a=b", "a", "b"),
            ("a", "a", ""),
            ("", "", ""),
            ("=b", "", "b"),
            ("a=b=c", "a", "b=c"),
            ("a+b=%20%2B", "a b", " +"),
            ("%61=%zz%", "a", "%zz%"),
            ("a=%+1", "a", "% 1"),
            ("a=%ff", "a", "\u{fffd}"),
        ] {
            let target = format!("/?{raw}");
            let read: Vec<_> = parameters(&target).collect();
            assert_eq!((read.len(), &*read[0].name, &*read[0].value), (1, name, value), "{raw}");
        }
        assert_eq!(parameters("/a").count(), 0);
        assert_eq!(parameters("/a?").count(), 1);
    }

    #[test]
    fn only_the_parameters_that_are_kept_stay_in_the_target() {
        let without_u = |target| select(target, |parameter| !parameter.name.starts_with('u'), false).into_owned();
        for (target, kept) in [
            ("/", "/"),
            ("/?", "/?"),
            ("/?a&&b", "/?a&&b"),
            ("/?u=1", "/"),
            ("/?u=1&a=2&u=3", "/?a=2"),
            ("/?b=1&a=2", "/?b=1&a=2"),
            ("/u?a=u", "/u?a=u"),
        ] {
            assert_eq!(without_u(target), kept, "{target}");
        }
    }

    #[test]
    fn sorted_parameters_of_one_name_keep_their_order() {
        let sorted = |target| select(target, |_| true, true).into_owned();
        assert_eq!(sorted("/?b=1&a=2&b=0&a=1"), "/?a=2&a=1&b=1&b=0");
        assert_eq!(sorted("/?a=1&b=2"), "/?a=1&b=2");
    }
}
