"""The closing sections: decisions with what they are worth, questions with their answers, the five steps."""
