//! What peers chose, shown to people: in terminals, in lines of a log.

/// With a replacement for each control character: a line feed would end a line, an escape moves a terminal's cursor.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_ends_a_line_or_moves_a_cursor() {
        assert_eq!(printable("a\nb\u{1b}[2J\u{9b}\u{7f}"), "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(printable("CN=Łódź"), "CN=Łódź");
    }
}
