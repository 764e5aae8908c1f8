//! `larder tail`: shows the log of a running Larder as it comes.

use serde_json::{Value, json};

use super::place::{Running, running};
use crate::{admin, cli::TailArguments, config::Folders, logging, proxy::TailItem, terminal::Style};

/// Shows each request that ends, with `say`, until Larder stops. `say` returns false if nobody reads. The error is one line.
pub fn tail(
    arguments: &TailArguments,
    folders: &Folders,
    style: Style,
    say: &mut dyn FnMut(&str) -> bool,
) -> Result<(), String> {
    let running = running(folders)?;
    let [Running { folder, listening, .. }] = running.as_slice() else {
        let list: Vec<String> = running.iter().map(|of| format!("{} ({})", of.listening, of.origin)).collect();
        return Err(match list.is_empty() {
            true => "no Larder runs; start one, or name its folder with --cache-dir or --origin".to_owned(),
            false => format!("several Larders run; name one with --cache-dir or --origin: {}", list.join(", ")),
        });
    };
    let show = |item: Value| {
        let is_read = match serde_json::from_value(item) {
            Ok(TailItem::Line(line)) if arguments.json => say(&json!(line).to_string()),
            Ok(TailItem::Line(line)) => say(&line.show(style).to_string()),
            Ok(TailItem::Lost(lost)) if arguments.json => say(&json!({ "lost": lost }).to_string()),
            Ok(TailItem::Lost(lost)) => {
                logging::say(&format!("{lost} lines were lost: they came faster than they were read"));
                true
            }
            // items of a later version are passed over
            Ok(TailItem::Beat) | Err(_) => true,
        };
        if !is_read {
            // the reader has closed the pipe: nothing is wrong
            std::process::exit(0);
        }
    };
    if style.columns && !arguments.json {
        logging::say(&format!("requests at {listening} as they end; Ctrl-C stops this, not Larder"));
    }
    let command = admin::Command::Tail(arguments.filter.clone());
    admin::ask_each(folder, &command, show).map(drop).map_err(|error| error.to_string())
}
