local P = {}
function P.name() return "old" end
return P
