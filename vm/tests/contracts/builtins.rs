//! The built-in contracts: the seed's examples, and every refusal of `learning` and `course_management`.

use lyceum_protocol::TxBody;
use serde_json::{Value, json};

use super::chain::{Chain, wallet};

const ADMIN: u8 = 1;
const TEACHER: u8 = 2;
const STUDENT: u8 = 3;
const STRANGER: u8 = 4;
const OTHER_TEACHER: u8 = 5;

/// The chain `public` with an admin, two teachers and a student.
fn public() -> Chain {
    let mut chain = Chain::embedded("public", &[wallet(ADMIN)]);
    for (seed, role) in [
        (TEACHER, "teacher"),
        (OTHER_TEACHER, "teacher"),
        (STUDENT, "student"),
    ] {
        chain
            .by(ADMIN)
            .ok(json!({"action": "add_member", "wallet": wallet(seed).to_string(), "role": role}));
    }
    chain
}

fn register(id: &str) -> Value {
    json!({"action": "register_student", "student": {"id": id, "name": "John Doe", "department": "CS"}})
}

fn add_course(id: &str, capacity: i64) -> Value {
    json!({"action": "add_course", "course": {"id": id, "name": "Logic", "capacity": capacity}})
}

fn enroll(student: &str, course: &str) -> Value {
    json!({"action": "enroll", "student": student, "course": course})
}

fn grade(student: &str, course: &str, grade: i64) -> Value {
    json!({"action": "grade", "student": student, "course": course, "grade": grade})
}

#[test]
fn the_seed_examples_run_as_they_stand() {
    let examples = [
        (
            include_str!("../../../protocol/contracts/examples/students.json"),
            "learning/student/S001",
            "John Doe",
        ),
        (
            include_str!("../../../protocol/contracts/examples/courses.json"),
            "learning/course/C001",
            "Introduction to Programming",
        ),
        (
            include_str!("../../../protocol/contracts/examples/proposals.json"),
            "dao/proposal/P001",
            "\"yes\":1",
        ),
        (
            include_str!("../../../protocol/contracts/examples/nfts.json"),
            "learning/nft/NFT001",
            "Certificate of completion",
        ),
        (
            include_str!("../../../protocol/contracts/examples/course_management.json"),
            "course_management/course/1",
            "100",
        ),
    ];
    let mut chain = Chain::embedded("dev", &[]);
    for (text, path, part) in examples {
        let receipt = chain.execute(&TxBody::parse(text).unwrap());
        assert_eq!(receipt.error(), None, "{text}");
        assert!(
            chain.record(path).to_string().contains(part),
            "{path}: {}",
            chain.record(path)
        );
    }
    let student = json!({
        "id": "S001", "name": "John Doe", "department": "Computer Science", "email": "", "wallet": wallet(1).to_string()
    });
    assert_eq!(chain.record("learning/student/S001"), student);
}

#[test]
fn every_role_is_refused_what_is_not_its_own() {
    let mut chain = public();
    chain.by(STUDENT).ok(register("S1"));
    chain.by(ADMIN).ok(register("S2"));
    chain.by(TEACHER).ok(add_course("C1", 1));
    for seed in [STRANGER, TEACHER] {
        assert_eq!(
            chain.by(seed).fails(register("S3")),
            "only a student or an admin registers students"
        );
    }
    for seed in [STRANGER, STUDENT] {
        assert_eq!(
            chain.by(seed).fails(add_course("C2", 1)),
            "only a teacher or an admin adds courses"
        );
        let nft = json!({"action": "generate_nft", "nft": {"id": "N1"}});
        assert_eq!(
            chain.by(seed).fails(nft),
            "only a teacher or an admin issues certificates"
        );
        let add = json!({"contract": "course_management", "action": "add", "course_id": 1, "course_info": 1});
        assert_eq!(
            chain.by(seed).fails(add),
            "only a teacher or an admin manages courses"
        );
    }
    for seed in [STRANGER, STUDENT, OTHER_TEACHER] {
        let update = json!({"action": "update_course", "course": {"id": "C1", "name": "Sets"}});
        assert_eq!(
            chain.by(seed).fails(update),
            "only the course's teacher or an admin updates it"
        );
        let delete = json!({"action": "delete_course", "id": "C1"});
        assert_eq!(
            chain.by(seed).fails(delete),
            "only the course's teacher or an admin deletes it"
        );
    }
    for seed in [STRANGER, TEACHER] {
        assert_eq!(
            chain.by(seed).fails(enroll("S1", "C1")),
            "only the student or an admin enrols"
        );
    }
    assert_eq!(
        chain.by(STUDENT).fails(enroll("S2", "C1")),
        "only the student or an admin enrols"
    );
    chain.by(STUDENT).ok(enroll("S1", "C1"));
    for seed in [STRANGER, STUDENT, OTHER_TEACHER] {
        assert_eq!(
            chain.by(seed).fails(grade("S1", "C1", 90)),
            "only the course's teacher or an admin grades"
        );
    }
    chain.by(TEACHER).ok(grade("S1", "C1", 90));
    assert_eq!(chain.record("learning/enrolment/S1,C1")["grade"], 90);
    for seed in [STRANGER, STUDENT, TEACHER] {
        let add =
            json!({"action": "add_member", "wallet": wallet(9).to_string(), "role": "student"});
        assert_eq!(chain.by(seed).fails(add), "only an admin adds members");
    }
}

#[test]
fn courses_have_their_rules() {
    let mut chain = public();
    chain.by(TEACHER).ok(add_course("C1", 1));
    assert_eq!(
        chain.by(TEACHER).fails(add_course("C1", 1)),
        "the course exists already"
    );
    assert_eq!(
        chain.by(TEACHER).fails(add_course("C2", -1)),
        "a capacity is not negative"
    );
    chain.by(STUDENT).ok(register("S1"));
    assert_eq!(
        chain.by(STUDENT).fails(register("S1")),
        "the student is registered already"
    );
    chain.by(STUDENT).ok(register("S2"));
    chain.ok(enroll("S1", "C1"));
    assert_eq!(chain.fails(enroll("S1", "C1")), "already enrolled");
    assert_eq!(chain.fails(enroll("S2", "C1")), "the course is full");
    assert_eq!(chain.fails(enroll("S9", "C1")), "there is no such student");
    assert_eq!(chain.fails(enroll("S1", "C9")), "there is no such course");
    assert_eq!(
        chain.by(TEACHER).fails(grade("S2", "C1", 50)),
        "the student is not enrolled"
    );
    assert_eq!(chain.fails(grade("S1", "C1", 101)), "a grade is 0 to 100");
    let update = |capacity: i64| json!({"action": "update_course", "course": {"id": "C1", "name": "Sets", "capacity": capacity}});
    assert_eq!(
        chain.fails(update(-2)),
        "more students are enrolled than that"
    );
    chain.ok(update(2));
    chain.by(STUDENT).ok(enroll("S2", "C1"));
    let course = chain.record("learning/course/C1");
    assert_eq!(
        (&course["name"], &course["enrolled"], &course["capacity"]),
        (&json!("Sets"), &json!(2), &json!(2))
    );
    assert_eq!(
        chain.by(TEACHER).fails(update(1)),
        "more students are enrolled than that"
    );
    assert_eq!(
        chain.fails(json!({"action": "delete_course", "id": "C1"})),
        "students are enrolled"
    );
    chain.ok(add_course("C2", 0));
    chain.ok(json!({"action": "delete_course", "id": "C2"}));
    assert_eq!(chain.record("learning/course/C2"), Value::Null);
    assert_eq!(
        chain.fails(json!({"action": "delete_course", "id": "C2"})),
        "there is no such course"
    );
}

#[test]
fn certificates_change_hands_and_are_revoked() {
    let mut chain = public();
    chain.by(STUDENT).ok(register("S1"));
    let generate = json!({"action": "generate_nft", "nft": {"id": "N1", "student": "S1", "metadata": {"grade": [1, null]}}});
    let receipt = chain.by(TEACHER).ok(generate.clone());
    assert_eq!(receipt.events[0].data(), json!({"id": "N1", "owner": "S1"}));
    assert_eq!(
        chain.record("learning/nft/N1")["metadata"],
        json!({"grade": [1, null]})
    );
    assert_eq!(chain.fails(generate), "the certificate exists already");
    let transfer = |to: &str| json!({"action": "transfer_nft", "id": "N1", "to": to});
    let revoke = json!({"action": "revoke_nft", "id": "N1"});
    for seed in [STRANGER, TEACHER, ADMIN] {
        assert_eq!(
            chain.by(seed).fails(transfer("x")),
            "only the owner transfers a certificate"
        );
    }
    assert_eq!(
        chain.by(STUDENT).fails(transfer("")),
        "a certificate needs an owner"
    );
    chain
        .by(STUDENT)
        .ok(transfer(&wallet(STRANGER).to_string()));
    assert_eq!(
        chain.by(STUDENT).fails(transfer("x")),
        "only the owner transfers a certificate"
    );
    for seed in [STRANGER, STUDENT, OTHER_TEACHER] {
        assert_eq!(
            chain.by(seed).fails(revoke.clone()),
            "only the issuer or an admin revokes a certificate"
        );
    }
    chain.by(TEACHER).ok(revoke.clone());
    assert_eq!(
        chain.fails(revoke.clone()),
        "the certificate is revoked already"
    );
    assert_eq!(
        chain.by(STRANGER).fails(transfer("x")),
        "the certificate is revoked"
    );
    assert_eq!(
        chain.fails(json!({"action": "revoke_nft", "id": "N2"})),
        "there is no such certificate"
    );
    assert_eq!(
        chain.fails(json!({"action": "transfer_nft", "id": "N2", "to": "x"})),
        "there is no such certificate"
    );
}

#[test]
fn integer_courses_are_added_updated_and_deleted() {
    let mut chain = Chain::embedded("dev", &[]);
    let call = |action: &str, info: Option<i64>| {
        let mut object = json!({"type": "course_management", "course_id": -5, "action": action});
        if let Some(info) = info {
            object["course_info"] = info.into();
        }
        TxBody::Contract(object.to_string())
    };
    let mut error = |body: TxBody| chain.execute(&body).error();
    assert_eq!(
        error(call("update", Some(1))).unwrap(),
        "there is no such course"
    );
    assert_eq!(error(call("add", Some(1))), None);
    assert_eq!(
        error(call("add", Some(1))).unwrap(),
        "the course exists already"
    );
    assert_eq!(error(call("update", Some(2))), None);
    assert_eq!(
        error(call("update", None)).unwrap(),
        "parameter \"course_info\": missing"
    );
    assert_eq!(
        error(call("delete", Some(3))).unwrap(),
        "parameter \"course_info\": unknown"
    );
    assert_eq!(
        chain.record("course_management/course/-5"),
        json!({"course_id": -5, "course_info": 2})
    );
    assert_eq!(chain.execute(&call("delete", None)).error(), None);
    assert_eq!(
        chain.execute(&call("delete", None)).error().unwrap(),
        "there is no such course"
    );
}
