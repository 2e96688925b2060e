use crate::scan::usage_sum::Answers;

/// What an event that matches does beside bringing text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) enum Effect {
    /// Nothing, but that it may state usage beside the text.
    #[default]
    Text,
    /// It ends these answers, and states no usage.
    Ends(Answers),
    /// It states usage and has no answers.
    UsageAlone,
    /// It ends the stream.
    Done,
}
