//! The account: what was sent, what its sender was told, and how often it was shown.
//!
//! Must not know processes.

use std::collections::BTreeMap;

/// One process of a client, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Whose.
    pub user: usize,
    /// How many of his were there before.
    pub number: u32,
}

/// The answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The other client has it.
    Delivered,
    /// The server keeps it.
    Stored,
    /// Any error.
    Refused,
}

#[derive(Debug)]
struct Letter {
    from: Life,
    to: usize,
    told: Option<Told>,
    shown: u32,
}

/// All messages.
#[derive(Debug, Default)]
pub struct Book {
    letters: Vec<Letter>,
    /// The last one that a recipient was shown of one life of a sender.
    last_shown: BTreeMap<(usize, Life), usize>,
    misordered: u64,
    strange: u64,
    cut_off: u64,
}

/// What it all came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages.
    pub sent: u64,
    /// Their senders were told so.
    pub delivered: u64,
    /// Their senders were told so.
    pub stored: u64,
    /// Their senders were told an error.
    pub refused: u64,
    /// Their senders were killed first.
    pub unanswered: u64,
    /// Confirmed, and never shown.
    pub lost: u64,
    /// Shown more than once.
    pub doubled: u64,
    /// Shown behind one that was sent later.
    pub misordered: u64,
    /// Shown to somebody else, or never sent.
    pub strange: u64,
    /// Not shown as a message, because a client was killed in the middle of it, but told in a notice by the next one.
    pub cut_off: u64,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.misordered + self.strange == 0
    }
}

impl Book {
    /// Notes a new message; its number goes with it.
    pub fn write(&mut self, from: Life, to: usize) -> usize {
        self.letters.push(Letter { from, to, told: None, shown: 0 });
        self.letters.len() - 1
    }

    /// The sender of a message was answered.
    pub fn told(&mut self, number: usize, told: Told) {
        if let Some(letter) = self.letters.get_mut(number) {
            letter.told = Some(told);
        }
    }

    /// A message was shown to a user.
    pub fn shown(&mut self, by: usize, number: Option<usize>) {
        let letter = number.and_then(|number| Some((number, self.letters.get_mut(number)?)));
        let Some((number, letter)) = letter.filter(|(_, letter)| letter.to == by) else {
            self.strange += 1;
            return;
        };
        letter.shown += 1;
        let last = self.last_shown.entry((by, letter.from)).or_default();
        if *last > number {
            self.misordered += 1;
        }
        *last = number.max(*last);
    }

    /// A user was told that a message was shown to him, or nearly, by a client of his that was killed.
    pub fn recalled(&mut self, by: usize, number: usize) {
        if self.letters.get(number).is_some_and(|letter| letter.shown == 0) {
            self.cut_off += 1;
            self.shown(by, Some(number));
        }
    }

    /// The account, once everybody has seen all that waited for him.
    pub fn verdict(&self) -> Verdict {
        let count =
            |is: &dyn Fn(&Letter) -> bool| self.letters.iter().filter(|letter| is(letter)).count() as u64;
        let is_confirmed = |letter: &Letter| matches!(letter.told, Some(Told::Delivered | Told::Stored));
        Verdict {
            sent: self.letters.len() as u64,
            delivered: count(&|letter| letter.told == Some(Told::Delivered)),
            stored: count(&|letter| letter.told == Some(Told::Stored)),
            refused: count(&|letter| letter.told == Some(Told::Refused)),
            unanswered: count(&|letter| letter.told.is_none()),
            lost: count(&|letter| is_confirmed(letter) && letter.shown == 0),
            doubled: count(&|letter| letter.shown > 1),
            misordered: self.misordered,
            strange: self.strange,
            cut_off: self.cut_off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Life = Life { user: 0, number: 3 };

    #[test]
    fn every_broken_promise_is_counted() {
        let mut book = Book::default();
        let numbers: Vec<usize> = (0..6).map(|_| book.write(ADA, 1)).collect();
        let told = [Told::Delivered, Told::Stored, Told::Stored, Told::Refused];
        for (&number, told) in numbers.iter().zip(told) {
            book.told(number, told);
        }
        for number in [0, 2, 1, 2, 4] {
            book.shown(1, Some(number));
        }
        book.shown(2, Some(5));
        book.shown(1, None);
        let expected = Verdict {
            sent: 6,
            delivered: 1,
            stored: 2,
            refused: 1,
            unanswered: 2,
            lost: 0,
            doubled: 1,
            misordered: 1,
            strange: 2,
            cut_off: 0,
        };
        assert_eq!(book.verdict(), expected);
        book.told(5, Told::Stored);
        assert_eq!(book.verdict(), Verdict { stored: 3, unanswered: 1, lost: 1, ..expected });
        book.recalled(1, 1);
        book.recalled(1, 5);
        assert_eq!(book.verdict(), Verdict { stored: 3, unanswered: 1, cut_off: 1, ..expected });
    }

    #[test]
    fn what_another_life_sent_has_an_order_of_its_own() {
        let mut book = Book::default();
        let early = book.write(ADA, 1);
        let late = book.write(Life { number: 4, ..ADA }, 1);
        book.shown(1, Some(late));
        book.shown(1, Some(early));
        assert!(book.verdict().is_clean());
    }
}
