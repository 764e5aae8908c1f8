//! The arguments of the commands with which an operator looks at a running Larder.

use clap::Args;

/// The arguments of `larder explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArguments {
    /// The URL at Larder or at the origin, or a path alone
    #[arg(value_name = "URL")]
    pub url: String,
    /// Method of the request
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header of the request, repeatable: 'Accept-Language: de'
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
    /// Fetch it from the origin and say what would be stored; nothing is
    #[arg(long)]
    pub ask: bool,
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// End with 4 where it would not come from the cache
    #[arg(long)]
    pub exit_code: bool,
}
