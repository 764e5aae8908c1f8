//! The arguments of the commands with which an operator looks at a running Larder.

use clap::Args;

/// The arguments of `larder explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArguments {
    /// The URL at Larder or at the origin, or a path alone
    #[arg(value_name = "URL")]
    pub url: String,
    /// Method of the request [GET; with --data POST]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// A header of the request, repeatable: 'Accept-Language: de'
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
    /// Content of the request; name its type with -H 'Content-Type: ...'
    #[arg(short = 'd', long, value_name = "TEXT")]
    pub data: Option<String>,
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

/// The arguments of `larder warm`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WarmArguments {
    /// URLs at Larder or at the origin, or paths alone
    #[arg(value_name = "URL", required_unless_present_any = ["file", "sitemap"])]
    pub urls: Vec<String>,
    /// A file with a URL in each line; -: standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<String>,
    /// The URL of a sitemap, or of a sitemap index
    #[arg(long, value_name = "URL")]
    pub sitemap: Option<String>,
    /// Requests at once
    #[arg(short = 'j', long, value_name = "N", default_value = "4")]
    pub jobs: String,
    /// Most requests a second: 10/s [no limit]
    #[arg(long, value_name = "N/s")]
    pub rate: Option<String>,
    /// A header of each request, repeatable: 'Accept-Encoding: gzip'
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
}

/// The arguments of `larder tail`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TailArguments {
    /// Show only lines that hold this text: MISS, /api, "not stored"
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
