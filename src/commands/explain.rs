//! `larder explain`: asks the running Larder what it would do, or works it out from the folder.

use super::place::{Aimed, Typed, aim, running};
use crate::{
    admin,
    cli::ExplainArguments,
    config::{Config, Folders},
    explanation::{Explanation, Wanted},
    server,
};

/// Explains what would happen to the request now. `config`: the settings, if they name a site; a folder on which no Larder
/// runs does not know them. The error is one line.
pub fn explain(
    arguments: &ExplainArguments,
    folders: &Folders,
    config: Option<&Config>,
) -> Result<Explanation, String> {
    let typed = Typed::parse(&arguments.url)?;
    let running = running(folders)?;
    let named = matches!(folders, Folders::One(_));
    if running.is_empty() {
        let Some(config) = config else {
            return Err(
                "no Larder runs; to look into its folder, name its site: --origin URL, or --config FILE".to_owned()
            );
        };
        let host = typed.authority.clone().filter(|authority| *authority != config.sites[0].origin.authority());
        return server::explain_offline(config, &wanted(arguments, host, typed.target)?);
    }
    let Aimed { folder, host, target } = aim(&typed, &running, named)?;
    let command = admin::Command::Explain(wanted(arguments, host, target)?);
    let answer = admin::ask(&folder, &command).map_err(|error| error.to_string())?;
    serde_json::from_value(answer).map_err(|error| format!("the running Larder is of another version: {error}"))
}

fn wanted(arguments: &ExplainArguments, host: Option<String>, target: String) -> Result<Wanted, String> {
    let mut fields = Vec::new();
    let mut named = host;
    for line in &arguments.headers {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            format!("invalid --header {line:?}: expected a name and a value, for example 'Accept: */*'")
        })?;
        let (name, value) = (name.trim(), value.trim());
        match name.eq_ignore_ascii_case("host") {
            true => named = Some(value.to_owned()),
            false => fields.push((name.to_owned(), value.to_owned())),
        }
    }
    let data = arguments.data.clone();
    let usual = if data.is_some() { "POST" } else { "GET" };
    let method = arguments.method.clone().unwrap_or_else(|| usual.to_owned());
    Ok(Wanted { method, target, host: named, fields, data, ask: arguments.ask })
}
