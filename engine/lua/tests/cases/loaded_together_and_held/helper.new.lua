local P = { more = "more" }
function P.name() return "new" end
return P
