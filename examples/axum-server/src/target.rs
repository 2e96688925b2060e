//! Where calls go.

use std::{fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use serde::Deserialize;

/// The address of an upstream: its origin, and the path under which its OpenAI-compatible API stands.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end; empty where there is none.
    prefix: String,
}

/// Why an address is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTarget {
    /// It cannot be read as a URL.
    Malformed,
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// It carries a user name, a password or a query, which may be secrets.
    Extra,
}

impl Target {
    /// Its host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Its host, with a port where it has one.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Scheme and authority.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The address of a call, by its path and query at the gateway.
    ///
    /// Compatible paths go to where the upstream has them: `/v1/..` to `/compatible-mode/v1/..` of one whose address ends
    /// so, and the other way round. All other paths, the native `/api/..` among them, go to the same path of its origin.
    ///
    /// # Errors
    ///
    /// When both together are no URI, such as one that is too long.
    pub fn uri(&self, at: &Uri) -> Result<Uri, http::Error> {
        const COMPATIBLE: [&str; 2] = ["/compatible-mode/v1/", "/v1/"];
        let path = at.path_and_query().map_or("/", PathAndQuery::as_str);
        let rest = COMPATIBLE.iter().find_map(|own| path.strip_prefix(own));
        let address = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        match rest {
            Some(rest) if !self.prefix.is_empty() => {
                // Without the machinery of `fmt`, as each call has one.
                address.path_and_query([&self.prefix, "/", rest].concat())
            }
            _ => address.path_and_query(path),
        }
        .build()
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let uri = Uri::from_str(text.trim()).map_err(|_| BadTarget::Malformed)?;
        let Parts {
            scheme: Some(scheme),
            authority,
            path_and_query,
            ..
        } = uri.into_parts()
        else {
            return Err(BadTarget::Scheme);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(BadTarget::Scheme);
        }
        let authority = authority.ok_or(BadTarget::Malformed)?;
        let path = path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        if authority.as_str().contains('@') || path.query().is_some() {
            return Err(BadTarget::Extra);
        }
        Ok(Self {
            scheme,
            authority,
            prefix: path.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl TryFrom<String> for Target {
    type Error = BadTarget;

    fn try_from(text: String) -> Result<Self, BadTarget> {
        text.parse()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it cannot be read as a URL",
            Self::Scheme => "it does not begin with http:// or https://",
            Self::Extra => "it carries a user name, a password or a query",
        })
    }
}

impl std::error::Error for BadTarget {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatible_paths_go_to_where_the_upstream_has_them() -> Result<(), Box<dyn std::error::Error>>
    {
        const DASHSCOPE: &str = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1";
        for (target, path, expected) in [
            (
                DASHSCOPE,
                "/v1/chat/completions",
                "/compatible-mode/v1/chat/completions",
            ),
            (
                DASHSCOPE,
                "/compatible-mode/v1/models?x=1",
                "/compatible-mode/v1/models?x=1",
            ),
            (
                DASHSCOPE,
                "/api/v1/services/aigc/a/b",
                "/api/v1/services/aigc/a/b",
            ),
            (
                DASHSCOPE,
                "/apps/anthropic/v1/messages",
                "/apps/anthropic/v1/messages",
            ),
            (
                "http://vllm:8000/v1/",
                "/compatible-mode/v1/embeddings",
                "/v1/embeddings",
            ),
            ("http://vllm:8000", "/v1/embeddings", "/v1/embeddings"),
            (
                "http://vllm:8000",
                "/compatible-mode/v1/x",
                "/compatible-mode/v1/x",
            ),
        ] {
            let uri = target.parse::<Target>()?.uri(&path.parse()?)?;
            let path_and_query = uri.path_and_query().map(PathAndQuery::as_str);
            assert_eq!(path_and_query, Some(expected), "{target} {path}");
            assert_eq!(uri.authority(), target.parse::<Uri>()?.authority());
        }
        Ok(())
    }

    #[test]
    fn no_path_leads_to_another_host() -> Result<(), Box<dyn std::error::Error>> {
        let target: Target = "http://h:1".parse()?;
        for path in [
            "//other/v1",
            "/@other",
            "http://other/v1/x",
            "/v1//other",
            "*",
        ] {
            match target.uri(&path.parse()?) {
                Ok(uri) => assert_eq!(uri.authority().map(|a| a.as_str()), Some("h:1"), "{path}"),
                Err(_) => assert_eq!(path, "*"),
            }
        }
        Ok(())
    }

    #[test]
    fn a_bad_address_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", BadTarget::Malformed),
            ("h", BadTarget::Scheme),
            ("ftp://h", BadTarget::Scheme),
            ("https://user:pw@h", BadTarget::Extra),
            ("https://h?key=x", BadTarget::Extra),
        ] {
            assert_eq!(text.parse::<Target>(), Err(reason), "{text}");
        }
    }
}
