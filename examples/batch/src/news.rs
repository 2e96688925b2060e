//! What is to be said while a run goes on, by parts of it that do not write to the screen themselves.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// More are not shown between two looks at the screen; the latest ones matter.
const MOST: usize = 32;

/// Sentences in the order in which they came. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct News(Arc<Mutex<VecDeque<String>>>);

impl News {
    /// Adds a sentence.
    pub fn add(&self, sentence: String) {
        let mut sentences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sentences.len() == MOST {
            sentences.pop_front();
        }
        sentences.push_back(sentence);
    }

    /// Takes out what came since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let mut sentences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sentences.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sentences_come_in_order_and_once() {
        let news = News::default();
        for number in 0..40 {
            news.clone().add(number.to_string());
        }
        let taken = news.take();
        assert_eq!((taken.len(), &*taken[0], &*taken[31]), (MOST, "8", "39"));
        assert!(news.take().is_empty());
    }
}
