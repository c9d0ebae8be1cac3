"""What `tidemark doctor` looks at: each part of an installation, and what to do about a finding."""
