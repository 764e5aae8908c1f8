//! `larder check --connect`: whether the cache folder can be used, and each origin be reached.

use std::{net::ToSocketAddrs, path::Path, rc::Rc};

use rustix::fs::{Access, access, statvfs};
use tokio::{
    sync::Semaphore,
    task::{LocalSet, spawn_local},
};

use super::origin::{is_larder_itself, words_for_itself};
use crate::{
    clock,
    config::{Config, Site},
    origin::{Connection, Origin},
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

/// Connects once to each origin, by TCP and TLS alone. Each has `--connect-timeout` for that. Returns a line for each in
/// their order, or as an error the line that says why it cannot be reached.
pub fn check_origins(config: &Config) -> Vec<Result<String, String>> {
    let mut sites: Vec<&Site> = Vec::new();
    for site in &config.sites {
        if sites.iter().all(|known| known.origin_client != site.origin_client) {
            sites.push(site);
        }
    }
    let listening = (&*config.listen.host, config.listen.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    let own = listening.filter(|address| address.port() != 0);
    let check = async {
        let places = Rc::new(Semaphore::new(AT_ONCE));
        let each = sites.into_iter().map(|site| {
            let is_own = own.is_some_and(|own| is_larder_itself(&site.origin, own));
            let (site, places) = (site.clone(), places.clone());
            spawn_local(async move {
                let _place = places.acquire().await;
                if is_own { Err(words_for_itself(&site.origin.url)) } else { check(&site).await }
            })
        });
        let mut lines = Vec::new();
        for checking in each.collect::<Vec<_>>() {
            lines.push(checking.await.unwrap_or_else(|error| Err(error.to_string())));
        }
        lines
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(rt) => LocalSet::new().block_on(&rt, check),
        Err(error) => vec![Err(format!("cannot connect: {error}"))],
    }
}

async fn check(site: &Site) -> Result<String, String> {
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
