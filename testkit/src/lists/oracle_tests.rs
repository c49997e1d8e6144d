//! The verdict on thousands of small histories is that of an oracle which tries every order of all snapshots
//! and commits.

use super::*;
use crate::Random;

const TRANSACTIONS: usize = 4;
const KEYS: u32 = 2;

/// Few transactions over two lists whose final order is drawn; what was read are beginnings of it. The last
/// transaction reads everything, so that every order is known.
fn random_history(random: &mut Random) -> Vec<Transaction> {
    let mut value = 0;
    let mut orders = vec![Vec::new(); KEYS as usize];
    let mut history = Vec::new();
    for number in 0..TRANSACTIONS {
        let process = number as u32 % 3;
        let before = history
            .iter()
            .rfind(|one: &&Transaction| one.process == process);
        let began = before.map_or(0, |before| before.ended + 1) + random.below(40);
        let ended = began + random.below(30);
        let mut ops = Vec::new();
        for _ in 0..1 + random.below(3) {
            let key = random.below(KEYS.into()) as u32;
            let touched = |op: &Op| match op {
                Op::Append { key: other, .. } | Op::Read { key: other, .. } => *other == key,
            };
            if random.one_in(2) && !ops.iter().any(touched) {
                ops.push(Op::Read { key, list: None });
            } else {
                value += 1;
                ops.push(Op::Append { key, value });
                let order = &mut orders[key as usize];
                let place = random.index(order.len() + 1);
                order.insert(place, value);
            }
        }
        let serializable = random.one_in(2);
        history.push(Transaction {
            process,
            isolation: if serializable {
                Isolation::Serializable
            } else {
                Isolation::Snapshot
            },
            outcome: Outcome::Ok,
            began,
            ended,
            ops,
        });
    }
    for transaction in &mut history {
        for op in &mut transaction.ops {
            if let Op::Read { key, list } = op {
                let order = &orders[*key as usize];
                *list = Some(order[..random.index(order.len() + 1)].to_vec());
            }
        }
    }
    let last = (0..KEYS).map(|key| Op::Read {
        key,
        list: Some(orders[key as usize].clone()),
    });
    history.push(Transaction {
        process: 9,
        isolation: Isolation::Serializable,
        outcome: Outcome::Ok,
        began: 1000,
        ended: 1001,
        ops: last.collect(),
    });
    history
}

/// Tries the order of moments, one after the other.
struct Oracle<'a> {
    history: &'a [Transaction],
    order: Order,
    lists: Vec<Vec<u32>>,
    /// Of each transaction: not begun, its snapshot's lists, committed.
    states: Vec<State>,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    Waiting,
    Open(Vec<Vec<u32>>),
    Committed,
}

impl Oracle<'_> {
    fn permits(history: &[Transaction], order: Order) -> bool {
        let mut oracle = Oracle {
            history,
            order,
            lists: vec![Vec::new(); KEYS as usize],
            states: vec![State::Waiting; history.len()],
        };
        oracle.go_on()
    }

    fn go_on(&mut self) -> bool {
        if self.states.iter().all(|state| *state == State::Committed) {
            return true;
        }
        (0..self.history.len()).any(|number| match self.states[number].clone() {
            State::Waiting => self.may_begin(number) && self.begin(number),
            State::Open(snapshot) => {
                self.may_commit(number, &snapshot) && self.commit(number, snapshot)
            }
            State::Committed => false,
        })
    }

    /// What the order says comes before it has committed, and what it read is there.
    fn may_begin(&self, number: usize) -> bool {
        let history = self.history;
        let this = &history[number];
        let before = (0..history.len()).filter(|other| {
            let other = &history[*other];
            let same = other.process == this.process && other.began < this.began;
            match self.order {
                Order::Free => false,
                Order::Process => same,
                Order::RealTime => same || other.ended < this.began,
            }
        });
        let mut before = before.filter(|other| *other != number);
        before.all(|other| self.states[other] == State::Committed) && self.reads_agree(number)
    }

    /// All reads stand before appends to the same list.
    fn reads_agree(&self, number: usize) -> bool {
        let mut ops = self.history[number].ops.iter();
        ops.all(|op| match op {
            Op::Append { .. } => true,
            Op::Read { key, list } => list.as_ref() == Some(&self.lists[*key as usize]),
        })
    }

    fn may_commit(&self, number: usize, snapshot: &[Vec<u32>]) -> bool {
        let this = &self.history[number];
        let is_first = this.ops.iter().all(|op| match op {
            Op::Append { key, .. } => snapshot[*key as usize] == self.lists[*key as usize],
            Op::Read { .. } => true,
        });
        is_first && (this.isolation == Isolation::Snapshot || self.reads_agree(number))
    }

    fn begin(&mut self, number: usize) -> bool {
        self.states[number] = State::Open(self.lists.clone());
        let permitted = self.go_on();
        self.states[number] = State::Waiting;
        permitted
    }

    fn commit(&mut self, number: usize, snapshot: Vec<Vec<u32>>) -> bool {
        let before = self.lists.clone();
        for op in &self.history[number].ops {
            if let Op::Append { key, value } = op {
                self.lists[*key as usize].push(*value);
            }
        }
        self.states[number] = State::Committed;
        let permitted = self.go_on();
        self.states[number] = State::Open(snapshot);
        self.lists = before;
        permitted
    }
}

#[test]
fn the_verdict_is_the_oracles() {
    let mut random = Random::new(1);
    let (mut permitted, mut refused) = (0, 0);
    for _ in 0..2000 {
        let history = random_history(&mut random);
        for order in Order::ALL {
            let checked = check(&history, order);
            let expected = Oracle::permits(&history, order);
            assert_eq!(
                checked.is_ok(),
                expected,
                "{order:?} {history:#?} {checked:#?}"
            );
            permitted += usize::from(expected);
            refused += usize::from(!expected);
        }
    }
    assert!(permitted > 300 && refused > 300, "{permitted}, {refused}");
}
