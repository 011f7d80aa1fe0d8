//! As much of Python's pickle as a PyTorch state dict is written in, and not more.
//!
//! A pickle is a program. This one runs on numbers, texts and containers only: what it wants to call is looked up in a
//! short list, anything else is refused by name, and a call is recorded for the reader to interpret, never made.
//!
//! Source of the opcodes: `Lib/pickletools.py` of CPython. Those here are what torch.save writes, which is protocol 2.

use std::collections::HashMap;

use super::weights::invalid;
use crate::error::{Error, Result};

/// Module and name of something in Python.
pub(super) type Global<'a> = (&'a str, &'a str);

/// A state dict names numbers that are stored elsewhere: a ResNet-50's takes 50 kB. A byte may become sixty in memory.
const MAX_BYTES: usize = 4 << 20;

const ORDERED_DICT: Global = ("collections", "OrderedDict");

/// What a pickle is made of. Containers lie in [`Pickle`], side by side: a file may nest them a million deep, which would
/// overflow the stack of whoever frees them one inside the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Global(Global<'a>),
    Tuple(Items),
    List(Items),
    /// Keys and values in turn.
    Dict(Items),
    /// Callee, then its arguments as one tuple.
    Call(Items),
    /// Stands for what lies outside the pickle, described by the one value it holds.
    Persistent(Items),
}

/// Where in a [`Pickle`] the items of a container are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Items(usize);

/// What came out of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub root: Value<'a>,
    heap: Vec<Vec<Value<'a>>>,
    /// All that were met, in their order.
    pub persistent: Vec<Value<'a>>,
}

impl<'a> Pickle<'a> {
    /// What the container holds.
    pub fn items(&self, items: Items) -> &[Value<'a>] {
        &self.heap[items.0]
    }

    /// Keys and values, where `value` is a dict.
    pub fn dict(&self, value: Value<'a>) -> Option<&[[Value<'a>; 2]]> {
        let Value::Dict(items) = value else { return None };
        Some(self.items(items).as_chunks().0)
    }

    /// The value of `key` in `dict`, where there is one; of several the last, as in Python.
    pub fn get(&self, dict: Value<'a>, key: &str) -> Option<Value<'a>> {
        let entries = self.dict(dict)?.iter().rev();
        entries.filter(|[name, _]| *name == Value::Text(key)).map(|[_, value]| *value).next()
    }
}

/// Bytes that are read from the front.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `n`.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(n) else {
            let missing = n - self.0.len();
            return Err(invalid(format!("ends {missing} bytes too early; it was cut short: fetch or copy it again")));
        };
        self.0 = rest;
        Ok(taken)
    }

    /// The next `N`.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let line = text(self.take(end)?)?;
        self.take(1)?;
        Ok(line)
    }
}

/// Reads one pickle from the front of `bytes`. It may name `collections.OrderedDict` and what is in `allowed`.
///
/// # Errors
/// [`Error::Weights`] for anything but a pickle of the kind described in this file's head.
pub(super) fn unpickle<'a>(bytes: &mut Bytes<'a>, allowed: &[Global]) -> Result<Pickle<'a>> {
    let mut machine = Machine::default();
    let length = bytes.0.len();
    while length - bytes.0.len() <= MAX_BYTES {
        let [opcode] = bytes.array()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { root, heap: machine.heap, persistent: machine.persistent });
        }
        machine.step(opcode, bytes, allowed)?;
    }
    Err(invalid(format!("describes its tensors in more than {MAX_BYTES} bytes; {SAVE_WEIGHTS}")))
}

#[derive(Default)]
struct Machine<'a> {
    stack: Vec<Value<'a>>,
    /// Lengths of the stack at which a variable number of items begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    heap: Vec<Vec<Value<'a>>>,
    persistent: Vec<Value<'a>>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8, bytes: &mut Bytes<'a>, allowed: &[Global]) -> Result<()> {
        let value = match opcode {
            // PROTO, MARK, BINPUT, LONG_BINPUT
            0x80 => return protocol(bytes.array()?),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(());
            }
            b'q' => return self.remember(u32::from(bytes.array::<1>()?[0])),
            b'r' => return self.remember(u32::from_le_bytes(bytes.array()?)),
            // APPEND, APPENDS, SETITEM, SETITEMS, BUILD
            b'a' | b'e' | b's' | b'u' => return self.extend(opcode),
            b'b' => return self.build(),
            // BINGET, LONG_BINGET
            b'h' => self.recall(u32::from(bytes.array::<1>()?[0]))?,
            b'j' => self.recall(u32::from_le_bytes(bytes.array()?))?,
            // NONE, NEWTRUE, NEWFALSE
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            // BININT1, BININT2, BININT, LONG1, BINFLOAT
            b'K' => Value::Int(i64::from(bytes.array::<1>()?[0])),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(bytes.array()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(bytes.array()?))),
            0x8a => Value::Int(long(bytes)?),
            b'G' => Value::Float(f64::from_be_bytes(bytes.array()?)),
            // BINUNICODE, GLOBAL
            b'X' => {
                let length = u32::from_le_bytes(bytes.array()?);
                Value::Text(text(bytes.take(length as usize)?)?)
            }
            b'c' => Value::Global(global([bytes.line()?, bytes.line()?], allowed)?),
            // EMPTY_LIST, EMPTY_DICT, EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
            b']' => Value::List(self.store(Vec::new())),
            b'}' => Value::Dict(self.store(Vec::new())),
            b')' => Value::Tuple(self.store(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                Value::Tuple(self.store(items))
            }
            0x85..=0x87 => {
                let items = self.pop_last(usize::from(opcode - 0x84))?;
                Value::Tuple(self.store(items))
            }
            // REDUCE, BINPERSID
            b'R' => self.call()?,
            b'Q' => {
                let id = self.pop()?;
                let persistent = Value::Persistent(self.store(vec![id]));
                self.persistent.push(persistent);
                persistent
            }
            other => {
                return Err(invalid(format!(
                    "pickle opcode {other:#04x} is none that a state dict needs; {SAVE_WEIGHTS}"
                )));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn store(&mut self, items: Vec<Value<'a>>) -> Items {
        self.heap.push(items);
        Items(self.heap.len() - 1)
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        self.stack.pop().ok_or_else(damaged)
    }

    fn pop_last(&mut self, n: usize) -> Result<Vec<Value<'a>>> {
        let first = self.stack.len().checked_sub(n).ok_or_else(damaged)?;
        Ok(self.stack.split_off(first))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        self.pop_last(self.stack.len().checked_sub(mark).ok_or_else(damaged)?)
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        self.memo.insert(key, *self.stack.last().ok_or_else(damaged)?);
        Ok(())
    }

    fn recall(&self, key: u32) -> Result<Value<'a>> {
        self.memo.get(&key).copied().ok_or_else(damaged)
    }

    /// Adds to the list or dict below, one item or all since the mark.
    fn extend(&mut self, opcode: u8) -> Result<()> {
        let items = match opcode {
            b'a' => self.pop_last(1),
            b's' => self.pop_last(2),
            _ => self.pop_to_mark(),
        }?;
        match (opcode, self.stack.last()) {
            (b'a' | b'e', Some(Value::List(list))) => self.heap[list.0].extend(items),
            (b's' | b'u', Some(Value::Dict(dict))) if items.len() % 2 == 0 => self.heap[dict.0].extend(items),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    /// Sets attributes. An ordered dict of weights has `_metadata`, the versions of its modules, of no use here.
    fn build(&mut self) -> Result<()> {
        let attributes = self.pop()?;
        match (self.stack.last(), attributes) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            _ => Err(invalid(format!("sets attributes of something that is no dict; {SAVE_WEIGHTS}"))),
        }
    }

    fn call(&mut self) -> Result<Value<'a>> {
        let [callee, arguments] = self.pop_last(2)?.try_into().expect("as many as were asked for");
        match (callee, arguments) {
            (Value::Global(ORDERED_DICT), Value::Tuple(items)) if self.heap[items.0].is_empty() => {
                Ok(Value::Dict(self.store(Vec::new())))
            }
            (Value::Global(_), Value::Tuple(_)) => Ok(Value::Call(self.store(vec![callee, arguments]))),
            _ => Err(damaged()),
        }
    }
}

/// What to do about a file that holds more than weights.
pub(super) const SAVE_WEIGHTS: &str = "in PyTorch, save the weights alone: torch.save(model.state_dict(), PATH)";

fn protocol([version]: [u8; 1]) -> Result<()> {
    if version == 2 {
        return Ok(());
    }
    Err(invalid(format!(
        "is a pickle of protocol {version}; 2 is read, which torch.save writes by itself: {SAVE_WEIGHTS}"
    )))
}

/// Looks a name up in the list of those that a state dict may have.
fn global<'a>([module, name]: [&'a str; 2], allowed: &[Global]) -> Result<Global<'a>> {
    if (module, name) == ORDERED_DICT || allowed.contains(&(module, name)) {
        return Ok((module, name));
    }
    Err(invalid(format!(
        "asks for Python's `{module}.{name}`, which no state dict needs; nothing was run. {SAVE_WEIGHTS}"
    )))
}

/// A little-endian number of as many bytes as the first says, in two's complement.
fn long(bytes: &mut Bytes<'_>) -> Result<i64> {
    let [length] = bytes.array()?;
    let digits = bytes.take(usize::from(length))?;
    let sign = if digits.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut all = [sign; 8];
    all.get_mut(..digits.len()).ok_or_else(damaged)?.copy_from_slice(digits);
    Ok(i64::from_le_bytes(all))
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}

/// No writer of pickles makes this, so no byte of it is to be trusted.
fn damaged() -> Error {
    invalid("the pickle in it is damaged; fetch or copy it again".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
        unpickle(&mut Bytes(bytes), &[("torch", "FloatStorage")])
    }

    #[test]
    fn values_are_those_python_pickled() {
        // CPython 3.11: pickle.dumps([None, True, False, 1, 300, -2, -2**40, 0.5, 'é', (1,), {'a': 1}], 2)
        let bytes = b"\x80\x02]q\x00(N\x88\x89K\x01M,\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\xff\
            G?\xe0\x00\x00\x00\x00\x00\x00X\x02\x00\x00\x00\xc3\xa9q\x01K\x01\x85q\x02}q\x03X\x01\x00\x00\x00aq\x04K\x01se.";
        let pickle = read(bytes).unwrap();
        let Value::List(items) = pickle.root else { panic!("{:?}", pickle.root) };
        use Value::{Bool, Float, Int, None, Text, Tuple};
        let [simple @ .., Tuple(one), dict] = pickle.items(items) else { panic!("{pickle:?}") };
        let expected =
            [None, Bool(true), Bool(false), Int(1), Int(300), Int(-2), Int(-(1 << 40)), Float(0.5), Text("é")];
        assert_eq!(simple, expected);
        assert_eq!(pickle.items(*one), [Int(1)]);
        assert_eq!(pickle.get(*dict, "a"), Some(Int(1)));
        assert_eq!(pickle.get(*dict, "b"), Option::None);
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_by_name() {
        assert!(read(b"\x80\x02ctorch\nFloatStorage\n.").is_ok());
        for (module, name) in [("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")]
        {
            let bytes = format!("c{module}\n{name}\nX\x02\x00\x00\x00ls\u{85}R.");
            let error = read(bytes.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{module}.{name}`")) && error.contains("nothing was run"), "{error}");
        }
    }

    #[test]
    fn a_million_containers_one_in_the_other_are_freed_without_recursion() {
        let mut bytes = vec![b')'];
        bytes.extend(std::iter::repeat_n(0x85, 1_000_000));
        bytes.push(b'.');
        drop(read(&bytes).unwrap());
    }

    #[test]
    fn programs_that_no_writer_makes_are_errors() {
        let damaged: [&[u8]; 12] = [
            b".",
            b"\x85.",
            b"t.",
            b"(K\x01\x86t.",
            b"h\x00.",
            b"q\x00.",
            b"K\x01K\x02a.",
            b"}(K\x01u.",
            b"}K\x01a.",
            b"K\x01)R.",
            b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00.",
            b"X\x01\x00\x00\x00\xff.",
        ];
        for bytes in damaged {
            assert!(read(bytes).unwrap_err().to_string().contains("damaged"), "{bytes:?}");
        }
        assert!(read(b"K\x01}b.").unwrap_err().to_string().contains("no dict"));
        assert!(read(b"I1\n.").unwrap_err().to_string().contains("opcode 0x49"));
        assert!(read(b"\x80\x04.").unwrap_err().to_string().contains("protocol 4"));
        for cut in [&b"X\xff\xff\xff\xff"[..], b"ctorch", b"ctorch\nFloat", b"J\x01", b""] {
            assert!(read(cut).unwrap_err().to_string().contains("cut short"), "{cut:?}");
        }
    }
}
