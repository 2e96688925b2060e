use tower_qwen_tokens::{Call, CallReport, internal::SendMark};

/// Whether a call has been sent since something was reserved for it.
///
/// A layer below that keeps calls to itself for a time, such as an Admission, says so in the call's
/// report. So a call whose caller left its queue costs nothing further out.
#[derive(Debug)]
pub(crate) struct SendWatch {
    /// The call's report, and what stood in it at first. `None` where the call was not read.
    call: Option<(CallReport, SendMark)>,
}

impl SendWatch {
    /// From now on.
    pub(crate) fn new(call: Option<&Call>) -> Self {
        let report = call.map(Call::report);
        Self {
            call: report.map(|report| (report.clone(), report.facts().send_mark())),
        }
    }

    /// Whether the provider may have worked on the call; so it is if no layer says anything.
    pub(crate) fn is_sent(&self) -> bool {
        let call = self.call.as_ref();
        call.is_none_or(|(report, mark)| report.facts().is_sent_since(*mark))
    }

    /// Whether the call may have cost something, though its caller has left: not if all that was sent of it was answered
    /// with errors.
    pub(crate) fn may_cost(&self) -> bool {
        let call = self.call.as_ref();
        call.is_none_or(|(report, mark)| report.facts().may_cost_since(*mark))
    }
}
