//! The arguments of the commands about what is stored: `purge` and `ls`.

use clap::{Args, ValueEnum};

/// The arguments of `larder purge`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct PurgeArguments {
    /// Paths such as /products/1, or whole URLs: all methods and variants; -: from standard input, one each line
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// A path and everything below it; /products/: only what is below it
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// What was stored with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Paths that match this pattern, as in rules: '/**/*.css' (looks at everything)
    #[arg(long, value_name = "GLOB")]
    pub glob: Option<String>,
    /// What is stale (looks at everything)
    #[arg(long)]
    pub stale: bool,
    /// Everything
    #[arg(long)]
    pub all: bool,
    /// Make it stale instead: it may be served while the origin is asked or fails
    #[arg(long)]
    pub soft: bool,
    /// Remove nothing; say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Say how many responses it was (looks at everything)
    #[arg(long)]
    pub count: bool,
    /// Do not ask, also if a glob matches everything
    #[arg(long)]
    pub yes: bool,
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `larder ls`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ListArguments {
    /// Paths that match this pattern, as in rules: '/products', '/**/*.css'
    #[arg(value_name = "GLOB")]
    pub glob: Option<String>,
    /// The largest, the oldest, what answered most often, or what is stale soonest first (looks at everything, shows 1,000)
    #[arg(long, value_name = "ORDER")]
    pub sort: Option<SortBy>,
    /// Show the method, Vary and parts, too
    #[arg(short, long)]
    pub long: bool,
    /// As JSON, one object each line
    #[arg(long)]
    pub json: bool,
}

/// The order of `larder ls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    Size,
    Age,
    Hits,
    Expires,
}
