//! How a server of one's own words its errors: as whoever calls expects them.
//!
//! ```
//! use http::HeaderMap;
//! use tower_qwen_tokens::{protocol::refusal::UNAUTHENTICATED, wording::Wording};
//!
//! let wording = Wording::of("/v1/chat/completions", &HeaderMap::new());
//! let answer = wording.error(UNAUTHENTICATED, "This key is not known here.");
//! assert_eq!(answer.status(), 401);
//! assert_eq!(
//!     answer.body(),
//!     r#"{"error":{"message":"This key is not known here.","type":"invalid_request_error","param":null,"code":"invalid_api_key"},"request_id":""}"#,
//! );
//! ```

mod error;

pub use error::Wording;
