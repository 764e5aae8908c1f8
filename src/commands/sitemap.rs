//! The URLs of a sitemap (sitemaps.org), without an XML parser: a sitemap holds nothing but its URLs between `<loc>` and
//! `</loc>`.

/// The most URLs of a sitemap, by sitemaps.org.
pub const MOST_URLS: usize = 50_000;

/// The longest sitemap in bytes, by sitemaps.org.
pub const LONGEST: usize = 50 << 20;

/// A sitemap.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// The URLs are those of other sitemaps.
    pub is_index: bool,
    pub urls: Vec<String>,
}

impl Sitemap {
    /// Reads the URLs of a sitemap, [`MOST_URLS`] at most. Returns none for text that is not a sitemap.
    pub fn parse(text: &str) -> Sitemap {
        let pieces = text.split("<loc>").skip(1).filter_map(|rest| Some(rest.split_once("</loc>")?.0));
        let urls = pieces.map(plain).filter(|url| !url.is_empty()).take(MOST_URLS).collect();
        Sitemap { is_index: text.contains("<sitemapindex"), urls }
    }
}

/// The text of an element, without the escapes of XML.
fn plain(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(text);
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_a_sitemap_stand_between_loc_and_its_end() {
        let map = "<?xml version='1.0'?><urlset><url><loc> http://a/1?x=1&amp;y=2 </loc><lastmod>2026</lastmod></url>\n\
                   <url><loc><![CDATA[http://a/2]]></loc></url><url><loc></loc></url><url><loc>cut</urlset>";
        let urls = vec!["http://a/1?x=1&y=2".to_owned(), "http://a/2".to_owned()];
        assert_eq!(Sitemap::parse(map), Sitemap { is_index: false, urls });
        let index = Sitemap::parse("<sitemapindex><sitemap><loc>http://a/s.xml</loc></sitemap></sitemapindex>");
        assert!(index.is_index && index.urls == ["http://a/s.xml"]);
        assert_eq!(Sitemap::parse("<html>"), Sitemap::default());
    }
}
