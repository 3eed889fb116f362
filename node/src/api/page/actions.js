// What people can do, as forms: each gives one action of the built-in contracts.

const text = (name, label, more = {}) => ({ name, label, kind: "text", required: true, ...more });
const optional = (name, label, more = {}) => text(name, label, { required: false, ...more });
const number = (name, label, more = {}) => ({ name, label, kind: "number", required: false, ...more });
const choice = (name, label, options) => ({ name, label, kind: "choice", options, required: true });

/** Leaves out what was left empty: the contract then takes its default. */
const filled = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== "" && value !== null));

const ROLES = [["student", "Student"], ["teacher", "Teacher"], ["admin", "Admin"]];

const ACTIONS = {
  register_student: {
    title: "Register a student",
    help: "Your key becomes the student's.",
    fields: [text("id", "Student number", { placeholder: "S001" }), text("name", "Name"), text("department", "Department"), optional("email", "E-mail (public!)")],
    make: (values) => ({ action: "register_student", student: filled(values) }),
  },
  enroll: {
    title: "Enrol in a course",
    help: "The student or an admin enrols.",
    fields: [text("student", "Student number"), text("course", "Course number")],
    make: (values) => ({ action: "enroll", ...values }),
  },
  add_course: {
    title: "Add a course",
    help: "Your key becomes the course's teacher's.",
    fields: [text("id", "Course number", { placeholder: "C001" }), text("name", "Title"), optional("description", "Description"), text("department", "Department"),
      optional("teacher", "Teacher's name"), number("credits", "Credits", { min: 0 }), number("capacity", "Places (empty: no limit)", { min: 0 })],
    make: (values) => ({ action: "add_course", course: filled(values) }),
  },
  grade: {
    title: "Grade a student",
    help: "0 to 100 points, by the course's teacher.",
    fields: [text("student", "Student number"), text("course", "Course number"), number("grade", "Points", { required: true, min: 0, max: 100 })],
    make: (values) => ({ action: "grade", ...values }),
  },
  generate_nft: {
    title: "Issue a certificate",
    help: "A certificate belongs to a student, and everyone can check it.",
    fields: [text("id", "Certificate number", { placeholder: "CERT-001" }), text("student", "Student number"), text("course", "Course number"), text("name", "Title"), optional("description", "What it certifies")],
    make: (values) => ({ action: "generate_nft", nft: filled(values) }),
  },
  propose: {
    title: "Propose something",
    help: "Members vote on it until its voting period ends.",
    fields: [text("id", "Proposal number", { placeholder: "P001" }), optional("title", "Title"), text("description", "What is proposed"), number("period", "Voting period, in blocks (empty: 100)", { min: 1, max: 1000000 })],
    make: (values) => ({ action: "propose", proposal: filled(values) }),
  },
  vote_proposal: {
    title: "Vote",
    help: "One member, one vote.",
    fields: [text("id", "Proposal number"), choice("vote", "Your vote", [["yes", "Yes"], ["no", "No"]])],
    make: (values) => ({ action: "vote_proposal", proposal: values }),
  },
  execute_proposal: {
    title: "Close a vote",
    help: "After the voting period: counts the votes and does what was decided.",
    fields: [text("id", "Proposal number")],
    make: (values) => ({ action: "execute_proposal", ...values }),
  },
  add_member: {
    title: "Add a member",
    help: "Gives a wallet its role.",
    fields: [text("wallet", "Address", { placeholder: "did:key:z6Mk…" }), choice("role", "Role", ROLES)],
    make: (values) => ({ action: "add_member", ...values }),
  },
  transfer: {
    title: "Send credits",
    help: "Credits pay for transactions.",
    fields: [text("to", "To address", { placeholder: "did:key:z6Mk…" }), number("amount", "Credits", { required: true, min: 1 })],
    make: (values) => ({ action: "transfer", ...values }),
  },
};
