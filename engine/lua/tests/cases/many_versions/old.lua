local M = {}
function M.make() local n = 0 return function() n = n + 1 return "v1", n end end
return M
