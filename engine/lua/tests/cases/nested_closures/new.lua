local M = {}
local extra = 100
function M.make()
    local a = 1
    return function()
        local b = 10
        return function() a = a + 1 b = b + 1 return "new", a, b, extra end
    end
end
function M.get() return extra end
return M
