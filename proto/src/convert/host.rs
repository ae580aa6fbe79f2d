//! What a host is asked of prerequisites, and what its agent says.

use berth_core::prerequisite::{Answer, Prerequisite};

use super::{ConvertError, from_json, to_json};
use crate::v1;

/// What a host is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions(pub Vec<Prerequisite>);

/// What its agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers(pub Vec<Answer>);

impl TryFrom<Questions> for v1::HostQuestions {
    type Error = ConvertError;
    fn try_from(questions: Questions) -> Result<Self, ConvertError> {
        let each = questions.0.iter().map(|one| to_json("required", one));
        let required = each.collect::<Result<_, _>>()?;
        Ok(Self { required })
    }
}

impl TryFrom<v1::HostQuestions> for Questions {
    type Error = ConvertError;
    fn try_from(questions: v1::HostQuestions) -> Result<Self, ConvertError> {
        let each = questions.required.iter();
        let each = each.map(|one| from_json("required", one));
        each.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Answers> for v1::HostAnswers {
    type Error = ConvertError;
    fn try_from(answers: Answers) -> Result<Self, ConvertError> {
        let each = answers.0.iter().map(|one| to_json("answers", one));
        let answers = each.collect::<Result<_, _>>()?;
        Ok(Self { answers })
    }
}

impl TryFrom<v1::HostAnswers> for Answers {
    type Error = ConvertError;
    fn try_from(answers: v1::HostAnswers) -> Result<Self, ConvertError> {
        let each = answers.answers.iter();
        let each = each.map(|one| from_json("answers", one));
        each.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use berth_core::prerequisite::Fact;

    use super::*;

    #[test]
    fn questions_and_answers_arrive_as_they_were_sent() {
        let of = Prerequisite::Sysctl {
            name: "vm.max_map_count".to_owned(),
            value: ">=262144".to_owned(),
        };
        let questions = Questions(vec![of.clone()]);
        let wire = v1::HostQuestions::try_from(questions.clone()).unwrap();
        assert_eq!(Questions::try_from(wire).unwrap(), questions);
        let finding = of.judge(&Fact::Value("65530".to_owned()));
        let answers = Answers(vec![Answer { of, finding }]);
        let wire = v1::HostAnswers::try_from(answers.clone()).unwrap();
        assert_eq!(Answers::try_from(wire).unwrap(), answers);
    }
}
