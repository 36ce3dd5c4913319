//! How a word that has begun goes on.

/// Most words offered at once; more are only counted.
const OFFERED_MAX: usize = 40;

/// What is known of the end of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// No word begins like this.
    Nothing,
    /// What to put in place of the beginning.
    Replace(String),
    /// Several words go on differently; a line that names them.
    Offer(String),
}

/// Completes `start` from `words`, without regard to case in ASCII: commands are matched that way.
pub(super) fn complete(start: &str, words: &[String]) -> Completion {
    let matching = |word: &&String| {
        word.get(..start.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    let found: Vec<&String> = words.iter().filter(matching).collect();
    let [first, others @ ..] = found.as_slice() else { return Completion::Nothing };
    if others.is_empty() {
        return Completion::Replace(format!("{first} "));
    }
    let shared = others.iter().fold(first.as_str(), |shared, word| shared_start(shared, word));
    if shared.len() > start.len() {
        return Completion::Replace(shared.to_owned());
    }
    let mut offer: Vec<&str> = found.iter().take(OFFERED_MAX).map(|word| word.as_str()).collect();
    let more = format!("and {} more", found.len().saturating_sub(OFFERED_MAX));
    if found.len() > OFFERED_MAX {
        offer.push(&more);
    }
    Completion::Offer(offer.join("  "))
}

fn shared_start<'a>(one: &'a str, other: &str) -> &'a str {
    let differs = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    one.get(..differs.unwrap_or(one.len().min(other.len()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_on_as_far_as_it_is_certain() {
        let words = ["whoelse", "whoelsesince", "searchFile", "searchChunk", "élan", "été"].map(String::from);
        let complete = |start| complete(start, &words);
        assert_eq!(complete("x"), Completion::Nothing);
        assert_eq!(complete("SEARCHf"), Completion::Replace("searchFile ".to_owned()));
        assert_eq!(complete("who"), Completion::Replace("whoelse".to_owned()));
        assert_eq!(complete("whoelse"), Completion::Offer("whoelse  whoelsesince".to_owned()));
        assert_eq!(complete("é"), Completion::Offer("élan  été".to_owned()));
        assert_eq!(complete("ét"), Completion::Replace("été ".to_owned()));
    }

    #[test]
    fn many_words_are_counted() {
        let words: Vec<String> = (10..90).map(|n| format!("user{n}")).collect();
        let Completion::Offer(offer) = complete("user", &words) else { panic!("no offer") };
        assert!(offer.starts_with("user10  user11") && offer.ends_with("user49  and 40 more"), "{offer}");
    }
}
