//! `larder check --connect`: whether the cache folder can be used, and each origin be reached, and what its first answer would be
//! in the cache.

use std::{net::ToSocketAddrs, path::Path, rc::Rc};

use rustix::fs::{Access, access, statvfs};
use tokio::{
    sync::Semaphore,
    task::{LocalSet, spawn_local},
};

use super::{
    explaining::Explainer,
    origin::{is_larder_itself, words_for_itself},
};
use crate::{
    clock,
    config::{Config, Site},
    origin::{Connection, Origin},
    proxy,
    units::{show_size, show_took},
};

/// The most origins that are connected to at once.
const AT_ONCE: usize = 32;

/// Says whether the cache folder, or the one in which it would be made, can be written to, and how much room there is. Changes
/// nothing. The error says why it cannot be used.
pub fn check_folder(config: &Config) -> Result<String, String> {
    let (folder, limit) = (&config.store.folder, show_size(config.store.disk));
    let shown = folder.display();
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Err(format!("{} is not a folder; name another one with --cache-dir", there.display()));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("the cache folder {shown} cannot be used: {}: {error}", there.display()))?;
    let about = statvfs(there).map_err(|error| format!("the cache folder {shown} cannot be used: {error}"))?;
    let free = show_size(about.f_bavail.saturating_mul(about.f_frsize));
    let made = if there == folder { "" } else { ", to be made" };
    Ok(format!("cache {shown}{made}: {free} of the disk are free, {limit} may be used"))
}

/// Connects once to each origin, and asks it once for each of its sites. Each has `--connect-timeout` and
/// `--first-byte-timeout` for that. Returns for each origin, in their order, a line that says how it was reached, and for each of
/// its sites one that says what the answer would be in an empty cache. An error is the line that says why there is none.
pub fn check_origins(config: &Config) -> Vec<Result<String, String>> {
    let mut origins: Vec<Vec<Site>> = Vec::new();
    for site in &config.sites {
        match origins.iter_mut().find(|sites| sites[0].origin_client == site.origin_client) {
            Some(sites) => sites.push(site.clone()),
            None => origins.push(vec![site.clone()]),
        }
    }
    let listening = (&*config.listen.host, config.listen.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    let own = listening.filter(|address| address.port() != 0);
    let check = async {
        let explainer = match Explainer::of_empty_cache(config) {
            Ok(explainer) => Rc::new(explainer),
            Err(error) => return vec![Err(error)],
        };
        let places = Rc::new(Semaphore::new(AT_ONCE));
        let each = origins.into_iter().map(|sites| {
            let is_own = own.is_some_and(|own| is_larder_itself(&sites[0].origin, own));
            let (explainer, config, places) = (explainer.clone(), config.clone(), places.clone());
            spawn_local(async move {
                let _place = places.acquire().await;
                match is_own {
                    true => vec![Err(words_for_itself(&sites[0].origin.url))],
                    false => check(&explainer, &config, &sites).await,
                }
            })
        });
        let mut lines = Vec::new();
        for checking in each.collect::<Vec<_>>() {
            lines.extend(checking.await.unwrap_or_else(|error| vec![Err(error.to_string())]));
        }
        lines
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(rt) => LocalSet::new().block_on(&rt, check),
        Err(error) => vec![Err(format!("cannot connect: {error}"))],
    }
}

/// Connects to the origin of these sites, and asks it for the first page of each.
async fn check(explainer: &Explainer, config: &Config, sites: &[Site]) -> Vec<Result<String, String>> {
    let reached = reach(&sites[0]).await;
    let is_reached = reached.is_ok();
    let mut lines = vec![reached];
    for site in sites.iter().filter(|_| is_reached) {
        let page = format!("{}/", site.path);
        let shown = format!("{}{page}", site.hosts.first().map_or("", String::as_str));
        let answer = match explainer.context() {
            Ok(cx) => proxy::first_answer(cx, &host(site, config), &page).await,
            Err(error) => Err(error),
        };
        lines.push(match answer {
            Ok(line) => Ok(format!("  {shown}  {line}")),
            Err(error) => Err(format!("{shown} of {}: {error}", site.origin.url)),
        });
    }
    lines
}

/// Returns a Host with which a client reaches the site.
fn host(site: &Site, config: &Config) -> String {
    let named = site.hosts.first().or(config.allow_hosts.first());
    named.map_or_else(|| format!("127.0.0.1:{}", config.listen.port), |host| host.replacen("*.", "www.", 1))
}

async fn reach(site: &Site) -> Result<String, String> {
    let scheme = if site.origin.https { "https" } else { "http" };
    let url = format!("{scheme}://{}", site.origin.authority());
    let origin = Origin::prepare(site.origin_client.clone()).map_err(|error| format!("{url}: {error}"))?;
    let began = clock::instant();
    let reached = origin.reach().await;
    let took = show_took(clock::instant().duration_since(began));
    let Connection { address, tls } = reached.map_err(|error| format!("{url}: {error}, {took}"))?;
    let seen: Vec<String> =
        address.map(|address| address.to_string()).into_iter().chain(tls.map(str::to_owned)).collect();
    Ok(format!("{url}: connected to {}, {took}", seen.join(", ")))
}
