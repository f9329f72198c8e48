//! Where a JSON value ends, byte by byte, without checking it.

/// Finds the end of a value.
#[derive(Default)]
pub(super) struct Scan {
    depth: usize,
    begun: bool,
    in_string: bool,
    escaped: bool,
    /// The last byte that is not white space.
    last: u8,
    /// Whether the byte before this one ended a line.
    at_start: bool,
    /// Whether the byte at which the scan stopped belongs to the value.
    pub includes_last: bool,
    /// Whether a string contains a line break, which JSON does not allow.
    pub broken: bool,
    /// Whether the value is not part of a list or object, so that another one may begin on any line.
    separate: bool,
}

impl Scan {
    /// A scan of one value. `separate`: it is not part of a list or object.
    pub(super) fn new(separate: bool) -> Self {
        Self { separate, ..Self::default() }
    }

    /// Whether the value continues after this byte.
    pub(super) fn continues(&mut self, byte: u8) -> bool {
        let at_start = std::mem::replace(&mut self.at_start, byte == b'\n');
        if self.in_string {
            if byte == b'\n' && self.separate {
                // The line was truncated. The next one may be complete.
                return false;
            }
            self.broken |= byte == b'\n';
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    self.last = byte;
                    return self.ends_inside();
                }
                _ => {}
            }
            return true;
        }
        if at_start && self.separate && self.depth > 0 && matches!(byte, b'{' | b'[') {
            // Without one of these before it, a value cannot begin here: the line before was truncated.
            if !matches!(self.last, b'[' | b',' | b':') {
                return false;
            }
        }
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => return false,
            b'}' | b']' => {
                self.depth -= 1;
                return self.ends_inside();
            }
            b',' | b':' if self.depth == 0 => return false,
            _ if blank && self.depth == 0 && self.begun => return false,
            _ => {}
        }
        self.begun = true;
        if !blank {
            self.last = byte;
        }
        true
    }

    /// After a string or a bracket: whether the value continues. If not, the byte belongs to it.
    fn ends_inside(&mut self) -> bool {
        self.includes_last = self.depth == 0;
        self.depth > 0
    }
}
