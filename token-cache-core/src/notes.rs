//! [`Notes`]: what each thread has found at its last read, for as long as that stands.

use std::any::Any;
use std::cell::RefCell;
use std::ptr;
use std::sync::{Arc, Weak};

use thread_local::ThreadLocal;

/// When something was found: as long as both are the same, it would be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of the published word.
    pub(crate) version: usize,
    /// The tick of the clock.
    pub(crate) tick: u64,
}

/// A note for each thread: no reader writes where another one reads.
#[derive(Default)]
pub(crate) struct Notes(ThreadLocal<Line>);

/// Notes of different threads lie side by side, and looking one up writes to it.
#[derive(Default)]
#[repr(align(64))]
struct Line(RefCell<Option<Note>>);

struct Note {
    stamp: Stamp,
    token: Held,
}

/// A token, of no type: one of its own would have to be `Send` and `Sync` wherever a cache is named.
pub(crate) enum Held {
    /// Nobody's thread keeps it alive. To get at it takes a compare-and-swap, which costs twice as much when two threads do
    /// so at once.
    Weakly(Weak<dyn Any + Send + Sync>),
    /// It is alive for as long as this note. In a box, so that its type is looked at before it is counted: the less is done
    /// between a count and the next, the less do threads get into each other's way.
    Fast(Box<dyn Any + Send + Sync>),
}

impl Held {
    pub(crate) fn weakly<T: Send + Sync + 'static>(token: &Arc<T>) -> Self {
        let token: Weak<T> = Arc::downgrade(token);
        Self::Weakly(token)
    }

    pub(crate) fn fast<T: Send + Sync + 'static>(token: &Arc<T>) -> Self {
        Self::Fast(Box::new(Arc::clone(token)))
    }

    #[inline]
    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        match self {
            Self::Weakly(token) => token.upgrade()?.downcast().ok(),
            Self::Fast(token) => token.downcast_ref().map(Arc::clone),
        }
    }

    fn is<T: Send + Sync + 'static>(&self, other: &Arc<T>) -> bool {
        match self {
            Self::Weakly(token) => ptr::addr_eq(Weak::as_ptr(token), Arc::as_ptr(other)),
            Self::Fast(token) => token.downcast_ref().is_some_and(|token| Arc::ptr_eq(token, other)),
        }
    }
}

impl Notes {
    /// What this thread has noted under that very stamp.
    #[inline]
    pub(crate) fn find<T: Send + Sync + 'static>(&self, stamp: Stamp) -> Option<Arc<T>> {
        let note = self.0.get()?.0.borrow();
        note.as_ref().filter(|note| note.stamp == stamp)?.token.get()
    }

    /// Notes it in the place of what this thread has noted before.
    pub(crate) fn put<T: Send + Sync + 'static>(&self, stamp: Stamp, token: &Arc<T>, hold: fn(&Arc<T>) -> Held) {
        let mut line = self.0.get_or_default().0.borrow_mut();
        if let Some(note) = line.as_mut().filter(|note| note.token.is(token)) {
            note.stamp = stamp;
            return;
        }
        let last = line.replace(Note { stamp, token: hold(token) });
        drop(line);
        // This may be the last of its kind, and its destructor is the user's: not while the line is borrowed.
        drop(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { version: 1, tick: 1 };

    #[test]
    fn a_note_is_found_under_its_stamp_and_no_other() {
        let (notes, token) = (Notes::default(), Arc::new("a"));
        notes.put(STAMP, &token, Held::weakly);
        assert!(Arc::ptr_eq(&notes.find(STAMP).unwrap(), &token));
        assert!(notes.find::<&str>(Stamp { version: 2, ..STAMP }).is_none());
        assert!(notes.find::<&str>(Stamp { tick: 2, ..STAMP }).is_none());
    }

    #[test]
    fn what_is_held_fast_is_found_as_well() {
        let (notes, token) = (Notes::default(), Arc::new("a"));
        notes.put(STAMP, &token, Held::fast);
        assert!(Arc::ptr_eq(&notes.find(STAMP).unwrap(), &token));
    }

    #[test]
    fn what_is_held_weakly_is_not_kept_alive() {
        let (notes, token) = (Notes::default(), Arc::new("a"));
        notes.put(STAMP, &token, Held::weakly);
        let observer = Arc::downgrade(&token);
        drop(token);
        assert!(observer.upgrade().is_none() && notes.find::<&str>(STAMP).is_none());
    }

    #[test]
    fn the_last_note_counts() {
        for hold in [Held::weakly, Held::fast] {
            let (notes, one, two) = (Notes::default(), Arc::new("a"), Arc::new("a"));
            notes.put(STAMP, &one, hold);
            let later = Stamp { tick: 2, ..STAMP };
            notes.put(later, &one, hold);
            assert!(Arc::ptr_eq(&notes.find(later).unwrap(), &one), "the same once more");
            notes.put(later, &two, hold);
            assert!(Arc::ptr_eq(&notes.find(later).unwrap(), &two), "another one");
            assert!(notes.find::<&str>(STAMP).is_none());
        }
    }

    #[test]
    fn no_thread_finds_what_another_has_noted() {
        let (notes, token) = (Notes::default(), Arc::new("a"));
        notes.put(STAMP, &token, Held::weakly);
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(notes.find::<&str>(STAMP).is_none()));
        });
    }
}
