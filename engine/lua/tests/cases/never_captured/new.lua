local M = {}
function M.make(a, b)
    return function() return "new", a, b end
end
return M
