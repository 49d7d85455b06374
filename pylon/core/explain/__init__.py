"""What happened to a job, where its money is and what comes next, in words and from the evidence."""
