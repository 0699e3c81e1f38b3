"""The page of ``slipway web``: try a model in every server at once, and see what load does to them.

The page is a client of this back end only. Requests to the servers go through it, with the clients that exist
(:mod:`serving.clients`), so that no server opens itself to pages of other sites. The back end keeps no state that a
reload could not rebuild: the servers, and the load test under way.
"""
