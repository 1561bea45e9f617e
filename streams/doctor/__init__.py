"""The doctor: looks at everything that an installation rests on and says in plain words what is wrong."""
