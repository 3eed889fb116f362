//! What people do: an endless, seeded sequence of calls of the built-in contracts.
//!
//! It keeps a sketch of what exists, so that most calls succeed; some fail on purpose, as people's do. Something that was made is used only
//! some calls later: the call that makes it and the one that uses it go to different nodes.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::{Value, json};

use crate::wallets::{Person, Role};

/// Calls after which something that was made can be used: some blocks later at the usual rate.
const SETTLED_AFTER: u64 = 30;
/// Calls after which a proposal's voting period is over.
const CLOSED_AFTER: u64 = 80;
/// A proposal's voting period, in blocks.
const VOTING_BLOCKS: u64 = 8;
/// Every so many calls, one that fails: a grade of 101.
const FAILING_EVERY: u64 = 40;
/// What a member is remembered of: older ones are forgotten, so that an endless run takes no more memory.
const REMEMBERED: usize = 200;

const DEPARTMENTS: [&str; 5] = [
    "Computer Science",
    "Mathematics",
    "Physics",
    "History",
    "Biology",
];
const SUBJECTS: [&str; 6] = [
    "Algebra",
    "Compilers",
    "Optics",
    "Genetics",
    "Number Theory",
    "Archives",
];
const NAMES: [&str; 6] = [
    "Noor Haddad",
    "Li Wei",
    "Ana Souza",
    "Tom Okoye",
    "Mia Berg",
    "Raj Patel",
];
const MOTIONS: [&str; 4] = [
    "Open the library at night",
    "Buy a telescope",
    "Teach Latin again",
    "Plant trees",
];

/// A call: who makes it, and the transaction's body.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The sender's number.
    pub sender: usize,
    /// What is called, in a word.
    pub kind: &'static str,
    /// The object with `actions` or `contract`.
    pub body: Value,
}

/// Something that exists, or will once its call is in a block.
#[derive(Debug, Clone)]
struct Made {
    id: String,
    owner: usize,
    at: u64,
}

/// The sequence of calls.
pub struct Calls {
    rng: ChaCha8Rng,
    /// How many were given.
    count: u64,
    /// Identity cards and memberships, which come first, the last of them at the end.
    first: Vec<Call>,
    teachers: Vec<usize>,
    students: Vec<usize>,
    everybody: usize,
    addresses: Vec<String>,
    pupils: Vec<Made>,
    courses: Vec<Made>,
    numbered: Vec<Made>,
    /// Pupil and course; `owner` is the course's.
    enrolments: Vec<(String, Made)>,
    certificates: Vec<Made>,
    proposals: Vec<(Made, Vec<usize>)>,
}

impl Calls {
    /// The sequence of `seed` for these people.
    pub fn new(seed: u64, people: &[Person]) -> Self {
        let with = |wanted: Role| {
            let all = people.iter().enumerate();
            let those = all.filter(move |(_, person)| person.role == wanted);
            those.map(|(at, _)| at).collect::<Vec<_>>()
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            count: 0,
            first: introductions(people),
            teachers: with(Role::Teacher),
            students: with(Role::Student),
            everybody: people.len(),
            addresses: people
                .iter()
                .map(|person| person.address.to_string())
                .collect(),
            pupils: Vec::new(),
            courses: Vec::new(),
            numbered: Vec::new(),
            enrolments: Vec::new(),
            certificates: Vec::new(),
            proposals: Vec::new(),
        }
    }

    /// The next call.
    pub fn draw(&mut self) -> Call {
        self.count += 1;
        if let Some(call) = self.first.pop() {
            return call;
        }
        if self.count.is_multiple_of(FAILING_EVERY) {
            return self.fail();
        }
        // What can't be done yet gives way to what always can.
        let call = match self.rng.random_range(0..100) {
            0..20 => None,
            20..28 => Some(self.add_course()),
            28..50 => self.enrol(),
            50..66 => self.grade(),
            66..74 => self.certify(),
            74..78 => self.hand_over(),
            78..81 => Some(self.propose()),
            81..91 => self.vote(),
            91..93 => self.execute(),
            93..97 => Some(self.numbered_course()),
            _ => Some(self.pay()),
        };
        let call = call.unwrap_or_else(|| self.register());
        self.forget();
        call
    }

    fn forget(&mut self) {
        let lists = [
            &mut self.pupils,
            &mut self.courses,
            &mut self.numbered,
            &mut self.certificates,
        ];
        for list in lists {
            shorten(list);
        }
        shorten(&mut self.enrolments);
        shorten(&mut self.proposals);
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        let text = texts.choose(&mut self.rng);
        text.copied().expect("the lists above are not empty")
    }

    fn someone(&mut self, teaches: bool) -> usize {
        let those = if teaches {
            &self.teachers
        } else {
            &self.students
        };
        *those
            .choose(&mut self.rng)
            .expect("there are teachers and students")
    }

    fn made(&self, letter: char, owner: usize) -> Made {
        let (id, at) = (format!("{letter}{:05}", self.count), self.count);
        Made { id, owner, at }
    }

    fn settled<'a>(&mut self, list: &'a [Made]) -> Option<&'a Made> {
        let last = list.partition_point(|made| made.at + SETTLED_AFTER <= self.count);
        list[..last].choose(&mut self.rng)
    }

    fn register(&mut self) -> Call {
        let sender = self.someone(false);
        let pupil = self.made('S', sender);
        let (name, department) = (self.one_of(&NAMES), self.one_of(&DEPARTMENTS));
        let body = json!({"action": "register_student", "student": {
            "id": pupil.id, "name": name, "department": department}});
        self.pupils.push(pupil);
        actions(sender, "register_student", body)
    }

    fn add_course(&mut self) -> Call {
        let sender = self.someone(true);
        let course = self.made('C', sender);
        let (name, department) = (self.one_of(&SUBJECTS), self.one_of(&DEPARTMENTS));
        let body = json!({"action": "add_course", "course": {
            "id": course.id, "name": name, "department": department,
            "credits": self.rng.random_range(2..9), "capacity": self.rng.random_range(5..40)}});
        self.courses.push(course);
        actions(sender, "add_course", body)
    }

    fn enrol(&mut self) -> Option<Call> {
        let (pupils, courses) = (self.pupils.clone(), self.courses.clone());
        let (pupil, course) = (self.settled(&pupils)?, self.settled(&courses)?);
        let made = Made {
            at: self.count,
            ..course.clone()
        };
        self.enrolments.push((pupil.id.clone(), made));
        let body = json!({"action": "enroll", "student": pupil.id, "course": course.id});
        Some(actions(pupil.owner, "enroll", body))
    }

    fn grade(&mut self) -> Option<Call> {
        let (pupil, course) = self.settled_enrolment()?;
        let grade = self.rng.random_range(40..=100);
        let body =
            json!({"action": "grade", "student": pupil, "course": course.id, "grade": grade});
        Some(actions(course.owner, "grade", body))
    }

    fn settled_enrolment(&mut self) -> Option<(String, Made)> {
        let last = self
            .enrolments
            .partition_point(|(_, made)| made.at + SETTLED_AFTER <= self.count);
        self.enrolments[..last].choose(&mut self.rng).cloned()
    }

    /// Two actions of one transaction: the grade, and the certificate that it earns.
    fn certify(&mut self) -> Option<Call> {
        let (pupil, course) = self.settled_enrolment()?;
        let certificate = self.made('N', course.owner);
        let grade = self.rng.random_range(60..=100);
        let body = json!({"actions": [
            {"action": "grade", "student": pupil, "course": course.id, "grade": grade},
            {"action": "generate_nft", "nft": {"id": certificate.id, "student": pupil, "course": course.id,
                "name": "Certificate of completion", "metadata": {"grade": grade}}}]});
        self.certificates.push(certificate);
        Some(Call {
            sender: course.owner,
            kind: "generate_nft",
            body,
        })
    }

    fn hand_over(&mut self) -> Option<Call> {
        let certificates = self.certificates.clone();
        let certificate = self.settled(&certificates)?;
        let to = self.someone(false);
        let body =
            json!({"action": "transfer_nft", "id": certificate.id, "to": self.addresses[to]});
        Some(actions(certificate.owner, "transfer_nft", body))
    }

    fn propose(&mut self) -> Call {
        let sender = self.rng.random_range(0..self.everybody);
        let proposal = self.made('P', sender);
        let title = self.one_of(&MOTIONS);
        let body = json!({"action": "propose", "proposal": {
            "id": proposal.id, "title": title, "description": format!("{title}. What do the members say?"),
            "kind": "text", "period": VOTING_BLOCKS, "quorum": 20, "threshold": 50}});
        self.proposals.push((proposal, Vec::new()));
        actions(sender, "propose", body)
    }

    fn vote(&mut self) -> Option<Call> {
        let sender = self.rng.random_range(0..self.everybody);
        let count = self.count;
        let is_open =
            |made: &Made| (made.at + SETTLED_AFTER..made.at + CLOSED_AFTER).contains(&count);
        let mut open = self
            .proposals
            .iter_mut()
            .filter(|(made, voters)| is_open(made) && !voters.contains(&sender));
        let (proposal, voters) = open.next()?;
        voters.push(sender);
        let id = proposal.id.clone();
        let vote = if self.rng.random_bool(0.7) {
            "yes"
        } else {
            "no"
        };
        let body = json!({"action": "vote_proposal", "proposal": {"id": id, "vote": vote}});
        Some(actions(sender, "vote_proposal", body))
    }

    fn execute(&mut self) -> Option<Call> {
        let count = self.count;
        let is_over = |made: &Made| made.at + 2 * CLOSED_AFTER <= count;
        let at = self.proposals.iter().position(|(made, _)| is_over(made))?;
        let (proposal, _) = self.proposals.remove(at);
        let body = json!({"action": "execute_proposal", "id": proposal.id});
        Some(actions(proposal.owner, "execute_proposal", body))
    }

    /// The contract whose courses are numbers, called in the other spelling.
    fn numbered_course(&mut self) -> Call {
        let known = self.numbered.clone();
        let course_info = self.rng.random_range(1..1_000);
        let old = self.settled(&known).filter(|_| course_info % 2 == 0);
        let (sender, body) = match old {
            Some(course) => (
                course.owner,
                json!({"type": "course_management", "action": "update",
                "course_id": course.at, "course_info": course_info}),
            ),
            None => {
                let sender = self.someone(true);
                self.numbered.push(self.made('K', sender));
                (
                    sender,
                    json!({"type": "course_management", "action": "add",
                    "course_id": self.count, "course_info": course_info}),
                )
            }
        };
        Call {
            sender,
            kind: "course_management",
            body: json!({"contract": body}),
        }
    }

    fn pay(&mut self) -> Call {
        let (sender, to) = (
            self.rng.random_range(0..self.everybody),
            self.rng.random_range(0..self.everybody),
        );
        let amount = self.rng.random_range(1..100);
        let body = json!({"action": "transfer", "to": self.addresses[to], "amount": amount});
        actions(sender, "transfer", body)
    }

    fn fail(&mut self) -> Call {
        let sender = self.someone(true);
        let body =
            json!({"action": "grade", "student": "S00000", "course": "C00000", "grade": 101});
        actions(sender, "failing", body)
    }
}

/// Each person's identity card and membership, to be taken from the end.
fn introductions(people: &[Person]) -> Vec<Call> {
    let cards = people.iter().enumerate().map(|(at, person)| {
        let body = json!({"action": "register_wallet", "wallet": person.card});
        actions(at, "register_wallet", body)
    });
    let members = people.iter().map(|person| {
        let role = match person.role {
            Role::Registrar | Role::Miner => "admin",
            Role::Teacher => "teacher",
            Role::Student => "student",
        };
        let body =
            json!({"action": "add_member", "wallet": person.address.to_string(), "role": role});
        actions(0, "add_member", body)
    });
    let mut calls: Vec<_> = cards.chain(members).collect();
    calls.reverse();
    calls
}

fn actions(sender: usize, kind: &'static str, action: Value) -> Call {
    let body = json!({"actions": [action]});
    Call { sender, kind, body }
}

fn shorten<T>(list: &mut Vec<T>) {
    if list.len() > REMEMBERED {
        list.drain(..list.len() - REMEMBERED);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use lyceum_protocol::{Address, SecretKey, TxBody};
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use crate::wallets::PEOPLE;

    pub(crate) fn people() -> Vec<Person> {
        let seeds = PEOPLE.iter().zip(1..);
        let people = seeds.map(|((name, role), seed)| {
            let key = SecretKey::from_seed(&[seed; 32]);
            Person {
                name: (*name).to_owned(),
                role: *role,
                address: Address::from_bytes(key.public()),
                key,
                card: "CARD".to_owned(),
                key_file: PathBuf::new(),
            }
        });
        people.collect()
    }

    #[test]
    fn one_seed_gives_one_sequence_of_every_kind() {
        let people = people();
        let (mut calls, mut again) = (Calls::new(7, &people), Calls::new(7, &people));
        let mut other = Calls::new(8, &people);
        let (mut kinds, mut differ) = (BTreeMap::new(), 0);
        for _ in 0..2_000 {
            let call = calls.draw();
            assert_eq!(call, again.draw());
            differ += usize::from(call != other.draw());
            TxBody::parse(&call.body.to_string()).unwrap();
            assert!(call.sender < people.len());
            *kinds.entry(call.kind).or_insert(0) += 1;
        }
        assert!(differ > 1_000, "{differ}");
        for kind in [
            "register_wallet",
            "add_member",
            "register_student",
            "add_course",
            "enroll",
            "grade",
            "generate_nft",
            "transfer_nft",
            "propose",
            "vote_proposal",
            "execute_proposal",
            "course_management",
            "transfer",
            "failing",
        ] {
            assert!(kinds.get(kind) > Some(&5), "{kind}: {kinds:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut calls = Calls::new(1, &people());
        for _ in 0..20_000 {
            calls.draw();
        }
        for length in [
            calls.pupils.len(),
            calls.courses.len(),
            calls.numbered.len(),
            calls.certificates.len(),
            calls.enrolments.len(),
            calls.proposals.len(),
        ] {
            assert!(length <= REMEMBERED, "{length}");
        }
    }
}
