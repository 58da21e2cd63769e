"""Who is who: people, services, sessions, API tokens, invitations."""
