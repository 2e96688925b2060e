//! The files of the page, which are in the program.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// A file, the same for everybody: it says nothing of who calls.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// The page itself.
pub(super) const INDEX: &str = include_str!("../../page/index.html");
/// The form for the key, in the place of `<!-- problem -->` with what was wrong.
pub(super) const LOGIN: &str = include_str!("../../page/login.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// What the page loads.
pub(super) static ALL: [Asset; 6] = [
    Asset {
        path: "/page/page.js",
        kind: SCRIPT,
        text: include_str!("../../page/page.js"),
    },
    Asset {
        path: "/page/charts.js",
        kind: SCRIPT,
        text: include_str!("../../page/charts.js"),
    },
    Asset {
        path: "/page/page.css",
        kind: STYLE,
        text: include_str!("../../page/page.css"),
    },
    Asset {
        path: "/page/icon.svg",
        kind: "image/svg+xml",
        text: include_str!("../../page/icon.svg"),
    },
    Asset {
        path: "/page/uPlot.iife.min.js",
        kind: SCRIPT,
        text: include_str!("../../page/uplot/uPlot.iife.min.js"),
    },
    Asset {
        path: "/page/uPlot.min.css",
        kind: STYLE,
        text: include_str!("../../page/uplot/uPlot.min.css"),
    },
];

impl Asset {
    pub(super) fn answer(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, self.kind),
            // Asked for again with each load: another version of the gateway has another page.
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, self.text).into_response()
    }
}

pub(super) fn html(text: impl Into<String>) -> Response {
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the policy of the page forbids would not run; this says it before a browser does.
    #[test]
    fn nothing_of_the_page_stands_in_its_html_or_comes_from_elsewhere() {
        for html in [INDEX, LOGIN] {
            for wrong in [
                "<style",
                " style=",
                "javascript:",
                "http:",
                "https:",
                "=\"//",
                " onclick",
                " onload",
                " onsubmit",
            ] {
                assert!(!html.contains(wrong), "{wrong} in {html}");
            }
            for (at, _) in html.match_indices("<script") {
                assert!(html[at..].starts_with("<script src=\"/page/"), "{html}");
            }
        }
        let loaded =
            [INDEX, LOGIN].map(|html| html.split('"').filter(|it| it.starts_with("/page/")));
        for path in loaded.into_iter().flatten() {
            let is_known = ALL.iter().any(|asset| asset.path == path);
            assert!(is_known || path.starts_with("/page/log"), "{path}");
        }
    }

    /// What callers can name must not become elements.
    #[test]
    fn scripts_write_text_alone() {
        let own = ALL
            .iter()
            .filter(|asset| asset.kind == SCRIPT && !asset.path.contains("uPlot"));
        let mut scripts = 0;
        for script in own {
            scripts += 1;
            for wrong in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ] {
                assert!(!script.text.contains(wrong), "{wrong} in {}", script.path);
            }
        }
        assert_eq!(scripts, 2);
    }
}
