local M = {}
do
    local state = { n = 10 }
    function M.second_add() state.n = state.n + 1 end
    function M.second() return "new", state.n end
end
local state = { n = 1 }
function M.first() return "new", state.n end
function M.first_add() state.n = state.n + 1 end
return M
