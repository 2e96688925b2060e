//! What a job may have.

/// The most that a job may have.
///
/// The figures are Model Studio's: 50,000 requests, 500 MB a file, 6 MB a line, one model a file
/// (alibabacloud.com/help/tc/model-studio/batch-inference, 2025-12-03;
/// docs.qwencloud.com/developer-guides/text-generation/batch; both read on 2026-12-01). Bytes are taken as the smaller
/// reading of MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lines.
    pub lines: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of a line, its line feed not counted.
    pub line_bytes: u64,
    /// Prompt tokens; `None` without a limit.
    pub tokens: Option<u64>,
}

impl Limits {
    /// Lines of a file.
    pub const LINES: u64 = 50_000;
    /// Bytes of a file.
    pub const BYTES: u64 = 500_000_000;
    /// Bytes of a line.
    pub const LINE_BYTES: u64 = 6_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lines: Self::LINES,
            bytes: Self::BYTES,
            line_bytes: Self::LINE_BYTES,
            tokens: None,
        }
    }
}
