//! Where calls go.

use std::{fmt, str::FromStr};

use http::{Uri, uri::PathAndQuery};

/// The address of a provider: scheme, authority and the path that its calls stand under.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    segments: Vec<String>,
}

/// Why an address or a path is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadUrl {
    /// It cannot be read as a URL.
    Malformed,
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// It carries a user name or a password.
    Credentials,
    /// It carries a query.
    Query,
    /// The path of a call does not begin with `/`: a line may not name a host of its own.
    NotAPath,
}

impl BaseUrl {
    /// The DashScope of Beijing, in its compatible mode.
    pub const DASHSCOPE: &str = "https://dashscope.aliyuncs.com/compatible-mode/v1";

    /// The host and port, for people to read.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.origin.rsplit_once("://");
        let authority = authority.map_or(self.origin.as_str(), |(_, authority)| authority);
        // The colons of an address of IPv6 stand in brackets.
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        }
    }

    /// The address of a call.
    ///
    /// What the end of the base and the beginning of the path have in common stands only once: `/v1/chat/completions`
    /// on a base that ends in `/compatible-mode/v1` goes to `/compatible-mode/v1/chat/completions`. Native paths
    /// (`/api/..`) stand on the origin.
    ///
    /// # Errors
    ///
    /// [`BadUrl::NotAPath`] or [`BadUrl::Malformed`].
    pub fn join(&self, path: &str) -> Result<Uri, BadUrl> {
        if !path.starts_with('/') {
            return Err(BadUrl::NotAPath);
        }
        let path = PathAndQuery::from_str(path).map_err(|_| BadUrl::Malformed)?;
        let base = if path.path().starts_with("/api/") {
            &[][..]
        } else {
            &self.segments[..self.segments.len() - self.shared_with(path.path())]
        };
        let mut url = self.origin.clone();
        for segment in base {
            url.push('/');
            url.push_str(segment);
        }
        url.push_str(path.as_str());
        Uri::try_from(url).map_err(|_| BadUrl::Malformed)
    }

    /// How many segments at the end of the base the path repeats at its beginning.
    fn shared_with(&self, path: &str) -> usize {
        let segments: Vec<&str> = segments(path).collect();
        (1..=self.segments.len().min(segments.len()))
            .rev()
            .find(|&shared| {
                self.segments[self.segments.len() - shared..]
                    .iter()
                    .eq(&segments[..shared])
            })
            .unwrap_or(0)
    }
}

impl FromStr for BaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let text = text.trim();
        // Before the URL is read: `host/v1` is none at all, and what it lacks is the scheme.
        if !text.is_empty() && !text.contains("://") {
            return Err(BadUrl::Scheme);
        }
        let uri = Uri::from_str(text).map_err(|_| BadUrl::Malformed)?;
        let parts = uri.into_parts();
        let scheme = match parts.scheme {
            Some(scheme) if matches!(scheme.as_str(), "http" | "https") => scheme,
            _ => return Err(BadUrl::Scheme),
        };
        let authority = parts.authority.ok_or(BadUrl::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::Credentials);
        }
        let path = parts
            .path_and_query
            .unwrap_or(PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(BadUrl::Query);
        }
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            segments: segments(path.path()).map(str::to_owned).collect(),
        })
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BaseUrl").field(&self.origin).finish()
    }
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not a URL",
            Self::Scheme => "it needs https:// (or http://) at its beginning",
            Self::Credentials => "it has a user name or a password in it",
            Self::Query => "it has a query (?..) at its end",
            Self::NotAPath => "it is not a path that begins with /",
        })
    }
}

impl std::error::Error for BadUrl {}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_base_and_path_share_stands_once() -> Result<(), BadUrl> {
        for (base, path, expected) in [
            (
                "https://h/compatible-mode/v1",
                "/v1/chat/completions",
                "https://h/compatible-mode/v1/chat/completions",
            ),
            (
                "https://h/compatible-mode/v1/",
                "/chat/completions",
                "https://h/compatible-mode/v1/chat/completions",
            ),
            (
                "https://h/compatible-mode/v1",
                "/compatible-mode/v1/embeddings",
                "https://h/compatible-mode/v1/embeddings",
            ),
            (
                "http://h:1",
                "/v1/chat/completions",
                "http://h:1/v1/chat/completions",
            ),
            (
                "http://h:1/v1",
                "/v1/embeddings?x=1",
                "http://h:1/v1/embeddings?x=1",
            ),
            ("http://h/v1", "/v10/chat", "http://h/v1/v10/chat"),
            (
                "https://h/compatible-mode/v1",
                "/api/v1/services/aigc/text-generation/generation",
                "https://h/api/v1/services/aigc/text-generation/generation",
            ),
            (
                "https://h/api/v1",
                "/api/v1/services/x",
                "https://h/api/v1/services/x",
            ),
            (
                "https://h/api/v1",
                "/services/x",
                "https://h/api/v1/services/x",
            ),
        ] {
            let joined = base.parse::<BaseUrl>()?.join(path)?;
            assert_eq!(joined.to_string(), expected, "{base} {path}");
        }
        Ok(())
    }

    #[test]
    fn no_line_takes_the_key_to_another_host() -> Result<(), BadUrl> {
        let base: BaseUrl = "https://h/v1".parse()?;
        assert_eq!(base.join("https://other/v1"), Err(BadUrl::NotAPath));
        assert_eq!(base.join(".other/v1"), Err(BadUrl::NotAPath));
        assert_eq!(base.join("@other/v1"), Err(BadUrl::NotAPath));
        assert_eq!(base.join("//other/v1")?.host(), Some("h"));
        assert_eq!(base.join("/a b"), Err(BadUrl::Malformed));
        Ok(())
    }

    #[test]
    fn a_bad_address_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", BadUrl::Malformed),
            ("h", BadUrl::Scheme),
            ("/v1", BadUrl::Scheme),
            ("dashscope.com/v1", BadUrl::Scheme),
            ("localhost:8080/v1", BadUrl::Scheme),
            ("ftp://h", BadUrl::Scheme),
            ("https://user:pw@h/v1", BadUrl::Credentials),
            ("https://h/v1?key=x", BadUrl::Query),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(reason), "{text}");
        }
    }
}
