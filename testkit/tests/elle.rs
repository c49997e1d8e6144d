//! What is written for Elle is EDN, in the shape that Elle reads, and says what was recorded: read back by a
//! parser of its own, it is the same history.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use vellum_testkit::Random;
use vellum_testkit::lists::{
    Isolation, Op, Order, Outcome, Recorder, Transaction, Workload, check, write_edn,
};

/// A value of EDN, as far as histories have them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Edn {
    Nil,
    Number(u64),
    Keyword(String),
    Vector(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
}

/// Reads all values of a text.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn all(text: &str) -> Vec<Edn> {
        let mut parser = Parser { rest: text };
        let mut all = Vec::new();
        while parser.peek().is_some() {
            all.push(parser.value());
        }
        all
    }

    fn peek(&mut self) -> Option<char> {
        // In EDN a comma is white space.
        let white = |mark: char| mark.is_ascii_whitespace() || mark == ',';
        self.rest = self.rest.trim_start_matches(white);
        self.rest.chars().next()
    }

    fn word(&mut self) -> String {
        let ends = |mark: char| mark.is_ascii_whitespace() || "[]{},".contains(mark);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn until(&mut self, end: char) -> Vec<Edn> {
        self.rest = &self.rest[1..];
        let mut values = Vec::new();
        while self.peek().expect("an end") != end {
            values.push(self.value());
        }
        self.rest = &self.rest[1..];
        values
    }

    fn value(&mut self) -> Edn {
        match self.peek().expect("a value") {
            '[' => Edn::Vector(self.until(']')),
            '{' => {
                let values = self.until('}');
                assert!(values.len().is_multiple_of(2), "a key without a value");
                let pairs = values.chunks(2);
                Edn::Map(
                    pairs
                        .map(|pair| (pair[0].clone(), pair[1].clone()))
                        .collect(),
                )
            }
            ':' => {
                let word = self.word();
                let name = word.strip_prefix(':').unwrap();
                assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()));
                Edn::Keyword(name.to_owned())
            }
            'n' => {
                assert_eq!(self.word(), "nil");
                Edn::Nil
            }
            _ => Edn::Number(self.word().parse().expect("a number")),
        }
    }
}

/// A line of a history.
#[derive(Debug)]
struct Line {
    index: u64,
    time: u64,
    kind: String,
    process: u64,
    ops: Vec<Op>,
}

impl Line {
    fn of(edn: Edn) -> Self {
        let Edn::Map(pairs) = edn else {
            panic!("a map: {edn:?}");
        };
        let mut pairs: BTreeMap<String, Edn> = pairs
            .into_iter()
            .map(|(key, value)| match key {
                Edn::Keyword(name) => (name, value),
                other => panic!("a keyword: {other:?}"),
            })
            .collect();
        let mut take = |name: &str| pairs.remove(name).expect("every line has it");
        let number = |edn| match edn {
            Edn::Number(number) => number,
            other => panic!("a number: {other:?}"),
        };
        assert_eq!(take("f"), Edn::Keyword("txn".into()));
        let Edn::Keyword(kind) = take("type") else {
            panic!("a keyword");
        };
        let Edn::Vector(ops) = take("value") else {
            panic!("a vector");
        };
        let line = Self {
            index: number(take("index")),
            time: number(take("time")),
            kind,
            process: number(take("process")),
            ops: ops.into_iter().map(op).collect(),
        };
        assert!(pairs.is_empty(), "nothing else: {pairs:?}");
        line
    }
}

fn op(edn: Edn) -> Op {
    let Edn::Vector(parts) = edn else {
        panic!("a vector: {edn:?}");
    };
    let [Edn::Keyword(what), Edn::Number(key), value] = &parts[..] else {
        panic!("what, where, which: {parts:?}");
    };
    let key = u32::try_from(*key).unwrap();
    let small = |edn: &Edn| match edn {
        Edn::Number(number) => u32::try_from(*number).unwrap(),
        other => panic!("a number: {other:?}"),
    };
    match (what.as_str(), value) {
        ("append", value) => Op::Append {
            key,
            value: small(value),
        },
        ("r", Edn::Nil) => Op::Read { key, list: None },
        ("r", Edn::Vector(list)) => Op::Read {
            key,
            list: Some(list.iter().map(small).collect()),
        },
        other => panic!("an operation: {other:?}"),
    }
}

/// Puts invocations and completions together again.
fn transactions(lines: Vec<Line>) -> Vec<Transaction> {
    let (mut open, mut all) = (BTreeMap::new(), Vec::new());
    let mut crashed = BTreeSet::new();
    for (place, line) in lines.into_iter().enumerate() {
        assert_eq!(line.index, place as u64);
        if line.kind == "invoke" {
            assert!(
                !crashed.contains(&line.process),
                "it was not heard of again"
            );
            let before = open.insert(line.process, line);
            assert!(before.is_none(), "one after the other");
            continue;
        }
        let invoked: Line = open.remove(&line.process).expect("an invocation");
        let outcome = match line.kind.as_str() {
            "ok" => Outcome::Ok,
            "fail" => Outcome::Fail,
            "info" => {
                crashed.insert(line.process);
                Outcome::Info
            }
            other => panic!("a type: {other}"),
        };
        if outcome != Outcome::Ok {
            assert_eq!(invoked.ops, line.ops);
        }
        all.push(Transaction {
            process: line.process as u32,
            isolation: Isolation::Serializable,
            outcome,
            began: invoked.time,
            ended: line.time,
            ops: line.ops,
        });
    }
    assert!(open.is_empty(), "every transaction has two lines");
    all
}

fn written(history: &[Transaction]) -> String {
    let mut text = Vec::new();
    write_edn(history, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn read(text: &str) -> Vec<Transaction> {
    let times = |lines: &[Line]| lines.iter().map(|line| line.time).collect::<Vec<_>>();
    let lines: Vec<Line> = Parser::all(text).into_iter().map(Line::of).collect();
    assert_eq!(lines.len(), text.lines().count(), "a map to a line");
    assert!(times(&lines).is_sorted());
    transactions(lines)
}

#[test]
fn a_history_is_written_as_elle_reads_it() {
    let transaction = |process, outcome, began, ended, ops| Transaction {
        process,
        isolation: Isolation::Serializable,
        outcome,
        began,
        ended,
        ops,
    };
    let append = |key, value| Op::Append { key, value };
    let read = |key, list: Option<&[u32]>| Op::Read {
        key,
        list: list.map(<[u32]>::to_vec),
    };
    let history = [
        transaction(
            0,
            Outcome::Ok,
            1,
            4,
            vec![append(5, 1), read(5, Some(&[1]))],
        ),
        transaction(1, Outcome::Info, 2, 3, vec![append(5, 2)]),
        transaction(1, Outcome::Fail, 5, 6, vec![read(5, Some(&[1, 2]))]),
        transaction(0, Outcome::Info, 7, u64::MAX, vec![read(6, Some(&[]))]),
        transaction(
            3,
            Outcome::Ok,
            8,
            9,
            vec![read(6, Some(&[])), read(5, Some(&[1, 2]))],
        ),
    ];
    assert_eq!(
        written(&history),
        "{:index 0, :time 1, :type :invoke, :process 0, :f :txn, :value [[:append 5 1] [:r 5 nil]]}\n\
         {:index 1, :time 2, :type :invoke, :process 1, :f :txn, :value [[:append 5 2]]}\n\
         {:index 2, :time 3, :type :info, :process 1, :f :txn, :value [[:append 5 2]]}\n\
         {:index 3, :time 4, :type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r 5 [1]]]}\n\
         {:index 4, :time 5, :type :invoke, :process 4, :f :txn, :value [[:r 5 nil]]}\n\
         {:index 5, :time 6, :type :fail, :process 4, :f :txn, :value [[:r 5 nil]]}\n\
         {:index 6, :time 7, :type :invoke, :process 0, :f :txn, :value [[:r 6 nil]]}\n\
         {:index 7, :time 8, :type :invoke, :process 3, :f :txn, :value [[:r 6 nil] [:r 5 nil]]}\n\
         {:index 8, :time 9, :type :ok, :process 3, :f :txn, :value [[:r 6 []] [:r 5 [1 2]]]}\n\
         {:index 9, :time 10, :type :info, :process 0, :f :txn, :value [[:r 6 nil]]}\n"
    );
}

#[test]
fn two_at_once_of_one_process_are_refused() {
    let recorder = Recorder::new();
    let ops = || Workload::new(2, 2).ops(&mut Random::new(1), true);
    let one = recorder.begin(7, Isolation::Snapshot, ops());
    let other = recorder.begin(7, Isolation::Snapshot, ops());
    one.end(Outcome::Ok);
    other.end(Outcome::Ok);
    let error = write_edn(&recorder.take().told, &mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().contains("a process of its own"),
        "{error}"
    );
}

/// Random transactions of several processes, some of which nobody hears of again.
#[test]
fn a_history_comes_back_as_it_was_written() {
    let (recorder, workload) = (Recorder::new(), Workload::new(3, 8));
    let mut random = Random::new(3);
    let mut store: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut open = Vec::new();
    for number in 0..500 {
        let process = number % 4;
        if open.len() == 4 {
            let mut recording: vellum_testkit::lists::Recording = open.remove(0);
            let outcome = match random.below(8) {
                0 => Outcome::Fail,
                1 => Outcome::Info,
                _ => Outcome::Ok,
            };
            for (place, op) in recording.ops().to_vec().into_iter().enumerate() {
                match op {
                    Op::Read { key, .. } => {
                        let found = store.get(&key).cloned().unwrap_or_default();
                        assert_eq!(recording.read(place, found), None);
                    }
                    Op::Append { key, value } if outcome != Outcome::Fail => {
                        store.entry(key).or_default().push(value);
                    }
                    Op::Append { .. } => {}
                }
            }
            recording.end(outcome);
        }
        let only_reads = random.one_in(4);
        let ops = workload.ops(&mut random, only_reads);
        open.push(recorder.begin(process, Isolation::Serializable, ops));
    }
    let history = recorder.take().told;
    check(&history, Order::RealTime).unwrap_or_else(|found| panic!("{}", found[0]));
    let back = read(&written(&history));
    assert_eq!(back.len(), history.len());
    let mut expected = history.clone();
    expected.sort_by_key(|one| one.ended);
    for (one, other) in back.iter().zip(&expected) {
        let mut other = other.clone();
        // Processes get new names, and what was not told is not written.
        other.process = one.process;
        if other.outcome != Outcome::Ok {
            for op in &mut other.ops {
                if let Op::Read { list, .. } = op {
                    *list = None;
                }
            }
        }
        assert_eq!(*one, other);
    }
    assert!(check(&back, Order::RealTime).is_ok());
}
