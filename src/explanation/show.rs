//! The screen of `larder explain`.

use super::{Change, Explanation, Outcome, Step, Why};
use crate::terminal::{Colour, Style};

/// The columns of a screen.
const WIDTH: usize = 80;
/// Where the text of a step begins.
const TEXT: usize = 12;
/// Where its note begins, if there is room.
const NOTE: usize = 52;

/// Shows an explanation for people: columns of 80 characters on a terminal, one line for each fact in a pipe.
pub fn show(explanation: &Explanation, style: Style) -> Vec<String> {
    if style.columns { on_terminal(explanation, style) } else { in_pipe(explanation) }
}

fn on_terminal(explanation: &Explanation, style: Style) -> Vec<String> {
    let Explanation { outcome, sentence, steps, reasons, changes, .. } = explanation;
    let mut lines = wrapped(&format!("{}: {sentence}", outcome.word()), 0, WIDTH);
    let colour = match outcome {
        Outcome::Hit => Colour::Green,
        Outcome::Stale | Outcome::Miss => Colour::Yellow,
        Outcome::Never | Outcome::Refused | Outcome::Error => Colour::Red,
    };
    lines[0] = lines[0].replacen(outcome.word(), &style.paint(colour, outcome.word()).to_string(), 1);
    lines.push(String::new());
    steps.iter().for_each(|step| lines.extend(step_lines(step)));
    if !reasons.is_empty() {
        lines.push(String::new());
    }
    for (nth, Why { words, advice, .. }) in reasons.iter().enumerate() {
        let label = if nth == 0 { "Why: " } else { "and: " };
        lines.extend(hanging(label, words, 5));
        lines.extend(advice.iter().flat_map(|advice| hanging("     ", &format!("-> {advice}"), 8)));
    }
    for Change { purpose, write, only_if } in changes {
        lines.push(String::new());
        let condition = only_if.as_ref().map_or(String::new(), |only_if| format!(", only if {only_if}"));
        lines.extend(wrapped(&format!("{purpose}{condition}:"), 0, WIDTH));
        // it is copied, so it is not wrapped
        lines.push(format!("  {write}"));
    }
    lines
}

fn in_pipe(explanation: &Explanation) -> Vec<String> {
    let Explanation { outcome, sentence, steps, reasons, changes, .. } = explanation;
    let mut lines = vec![format!("{}: {sentence}", outcome.word())];
    for Step { name, says, note } in steps {
        // the arrow is for the eye
        let note = note.trim_start_matches("<- ");
        lines.push(if note.is_empty() { format!("{name}: {says}") } else { format!("{name}: {says} -- {note}") });
    }
    for Why { words, advice, .. } in reasons {
        lines.push(match advice {
            Some(advice) => format!("why: {words} -- {advice}"),
            None => format!("why: {words}"),
        });
    }
    for Change { purpose, write, only_if } in changes {
        let condition = only_if.as_ref().map_or(String::new(), |only_if| format!(", only if {only_if}"));
        lines.push(format!("change: {purpose}{condition}: {write}"));
    }
    lines
}

/// The text of a step, and its note in the same line where there is room.
fn step_lines(Step { name, says, note }: &Step) -> Vec<String> {
    let head = format!("  {name:<width$}", width = TEXT - 2);
    let is_short = says.chars().count() <= NOTE - TEXT - 2 && note.chars().count() <= WIDTH - NOTE;
    if note.is_empty() {
        hanging(&head, says, TEXT)
    } else if is_short {
        vec![format!("{head}{says:<width$}{note}", width = NOTE - TEXT)]
    } else if TEXT + says.chars().count() + 2 + note.chars().count() <= WIDTH {
        vec![format!("{head}{says}  {note}")]
    } else {
        let mut lines = hanging(&head, says, TEXT);
        lines.extend(hanging(&" ".repeat(TEXT), note, TEXT));
        lines
    }
}

/// A text behind a label. The lines after the first are indented.
fn hanging(label: &str, text: &str, indent: usize) -> Vec<String> {
    let mut lines = wrapped(text, indent, WIDTH);
    let first = lines[0].trim_start();
    lines[0] = format!("{label}{first}");
    lines
}

/// Wraps a text at its spaces, with each line indented. A word that is longer than a line stays whole.
fn wrapped(text: &str, indent: usize, width: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && indent + length > width {
            lines.push(format!("{}{}", " ".repeat(indent), std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{}{line}", " ".repeat(indent)));
    lines
}
