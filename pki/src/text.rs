//! What peers chose, shown to people: in terminals, in lines of a log.

/// With a replacement for each character that is not itself shown, but changes what is: a line feed would end a line, an escape
/// moves a terminal's cursor, U+202E turns what follows around, U+200B makes two names look the same.
pub fn printable(text: &str) -> String {
    text.replace(is_hidden, "\u{fffd}")
}

/// Controls (`Cc`), separators of lines and paragraphs (`Zl`, `Zp`), and what is shown as nothing: `Default_Ignorable_Code_Point`
/// (Unicode 16.0, UAX #44), which has those that set directions, with the marks of annotations. Other format characters have a
/// glyph.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_ends_a_line_or_moves_a_cursor() {
        assert_eq!(printable("a\nb\u{1b}[2J\u{9b}\u{7f}"), "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(printable("a\u{2028}b\u{2029}c\u{85}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn nothing_turns_what_follows_around_or_hides_in_a_name() {
        let directions =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let nothing = "\u{ad}\u{200b}\u{200c}\u{200d}\u{2060}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e0001}\u{e0041}\u{e0100}";
        for character in directions.chars().chain(nothing.chars()) {
            let name = format!("CN=a{character}b");
            assert_eq!(printable(&name), "CN=a\u{fffd}b", "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn names_of_any_script_stay_as_they_are() {
        for name in [
            "CN=Łódź",
            "CN=بغداد",
            "CN=ירושלים",
            "CN=東京\u{3000}駅",
            "CN=e\u{301}",
            "CN=कि",
            "CN=🔑",
            "CN=\u{fffd}",
        ] {
            assert_eq!(printable(name), name);
        }
    }
}
