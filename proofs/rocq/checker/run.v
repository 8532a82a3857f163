(******************************************************************************)
(*      The run of a whole network is a CNN of the theory                     *)
(*                                                                            *)
(* Of any inputs, layers and skips: the values that the evaluator makes of a  *)
(* well-formed network obey cnn_layer and cnn_feed of cnn.v one after the     *)
(* other, so that cnn_affine holds of them.  Value 0 is all inputs, entry by  *)
(* entry; value i > 0 is what layer i makes.  Skips and their strengths are   *)
(* resizings.                                                                 *)
(*                                                                            *)
(*   made i o == value i at position o                                        *)
(*   resizing k j y z == how much entry z of value k counts in entry y of     *)
(*              what enters layer j + 1                                       *)
(*   theirs == the network of cnn.v                                           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List PeanoNat.
From AlgebraicCNN Require Import linear_cnn flatten pattern padding correlation cnn.
From AlgebraicCNN.checker Require Import evaluator patterns shapes bridge sums theory layers values notations.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Run.
Variable K : comRingType.
Local Notation tensor := (list (list (list K))).
Local Notation run := (evaluator.forward (0 : K) 1 plus mult).

Section Network.
Variables (ss : list shape) (ls : list (convolution K)) (net : list (layer K)) (ts : list shape) (X : list K).
Hypotheses (ok : network ss ls = Some (net, ts)) (LX : length X = entries ss).
Let n := length ss.
Let V := run net (cut ss X).
Let dk : layer K := Layer nil nil nil 0 nil nil.
Let dl : convolution K := Convolution nil Zeros (Axis 0 0 0 0 0) (Axis 0 0 0 0 0) 0 nil nil.
Let sh i : shape := List.nth i ts (0, 0, 0)%N.
Let cv j : convolution K := List.nth j ls dl.
Let en j : shape := sh (List.hd (0%N, 0 : K) (from (cv j))).1.

(* the dimensions and the numbers of layer i, as functions of i *)
Definition co i : nat := if i is j.+1 then (sh (n + j)).1.1 else entries ss.
Definition ho i : nat := if i is j.+1 then (sh (n + j)).1.2 else 1.
Definition wo i : nat := if i is j.+1 then (sh (n + j)).2 else 1.
Local Notation lay i := (cv i.-1).
Definition ce i : nat := (entered (lay i) (en i.-1)).1.1.
Definition he i : nat := (entered (lay i) (en i.-1)).1.2.
Definition we i : nat := (entered (lay i) (en i.-1)).2.
Definition down (part : axis -> nat) (other i : nat) : nat := of_axis (lay i) (vertical (lay i)) part other.
Definition across (part : axis -> nat) (other i : nat) : nat := of_axis (lay i) (horizontal (lay i)) part other.
Definition groups_of i : nat := split (lay i).
Definition modes i : padding_mode := mode_in (lay i).
Definition kern i : 'I_(co i) -> 'I_(ce i %/ groups_of i) -> 'I_(down extent 1 i) -> 'I_(across extent 1 i) -> K :=
  kernel_of (kernels (lay i)).
Definition bias_at i (o : 'I_(co i)) : K := num (biases (lay i)) o.
Local Notation Out i := ('I_(co i) * 'I_(ho i) * 'I_(wo i))%type.
Local Notation Inp i := ('I_(ce i) * 'I_(he i) * 'I_(we i))%type.

Definition numbers a b c (p : 'I_a * 'I_b * 'I_c) : nat * nat * nat := (p.1.1 : nat, p.1.2 : nat, p.2 : nat).
Definition made_at i (p : nat * nat * nat) : K :=
  if i is j.+1 then entry (row V (n + j)) p.1.1 p.1.2 p.2 else num X p.1.1.
Definition made i (o : Out i) : K := made_at i (numbers o).
(* whether entry z of value k is position p of what the feed a is *)
Definition source_at k a (p : option (nat * nat * nat)) (z : nat * nat * nat) : bool :=
  if p is Some q then
    if k is j.+1 then (a == n + j)%N && (z == q)
    else (a < n)%N && (z == ((entries (List.firstn a ss) + spot (List.nth a ss (0, 0, 0)%N) q)%N, 0, 0)%N)
  else false.
Definition resizing k j (y : Inp j.+1) (z : Out k) : K :=
  \sum_(f <- from (cv j)) f.2 * (source_at k f.1 (position (cv j) (en j) (numbers y)) (numbers z))%:R.
Definition theirs := cnn_net (h := ho) (w := wo) (down stride 1) (across stride 1) (down dilation 1) (across dilation 1)
  (down before 0) (down after 0) (across before 0) (across after 0) modes kern resizing (fun _ _ => 1).

Lemma pos_ss : List.Forall positive_shape ss.
Proof.
move: ok; rewrite /network; case P: (_ && _) => // _; case/andP: P => _ /List.forallb_forall P.
apply/List.Forall_forall => -[[c h] w] /P /andP [/andP [+ _] _]; rewrite ltbE => c0; exact/ltP.
Qed.
Lemma compiled : compile_all ss ls = Some (net, ts).
Proof. by move: ok; rewrite /network; case: (_ && _). Qed.
Lemma length_cut : length (cut ss X) = n.
Proof. by rewrite /n; elim: ss (X) => [|[[c h] w] q IH] Y //=; rewrite IH. Qed.

Lemma firsts_positive j : (j <= length ls)%N -> List.Forall positive_shape (List.firstn (n + j) ts).
Proof.
have [_ Lt Ft N] := compile_all_nth dl dk (0, 0, 0)%N compiled.
elim: j => [|j IH] jN; first by rewrite addn0 Ft; exact: pos_ss.
have [s _ /proper_positive P] := compile_proper (N j jN) (IH (ltnW jN)).
have jt : (n + j < length ts)%N by rewrite Lt ltn_add2l.
rewrite addnS; move: P (IH (ltnW jN)) jt; rewrite -/n; elim: (n + j)%N ts => [|m IHm] [|t us] //= P F mt.
  by constructor; [exact: P|constructor].
inversion F; constructor => //; exact: IHm.
Qed.

Lemma layer_at j : (j < length ls)%N ->
  [/\ proper (cv j) (en j) (sh (n + j)) (List.nth j net dk), from (cv j) <> nil,
      forall f, List.In f (from (cv j)) -> (f.1 < n + j)%N /\ sh f.1 = en j &
      row V (n + j) = conv 0 1 plus mult (List.nth j net dk)
        (gather plus mult (List.firstn (n + j) V) (from (cv j)))].
Proof.
move=> jN; have [Ln Lt Ft N] := compile_all_nth dl dk (0, 0, 0)%N compiled.
have [s E P] := compile_proper (N j jN) (firsts_positive (ltnW jN)).
have [ne F] := entering_all (0, 0, 0)%N E.
have G f : List.In f (from (cv j)) -> (f.1 < n + j)%N /\ sh f.1 = s.
  move=> /F []; rewrite List.firstn_length Lt minE (minn_idPl _) ?leq_add2l ?(ltnW jN) // => fj.
  by rewrite nth_take // => ->.
have enE : en j = s.
  have I : List.In (List.hd (0%N, 0 : K) (from (cv j))) (from (cv j)).
    by move: ne; rewrite -/(cv j); case: (from (cv j)) => // ? ? _; left.
  by have [_ <-] := G _ I.
rewrite enE; split=> //.
have [_ _ NV] := forward_nth dk net (cut ss X).
have fE : feeds (List.nth j net dk) = from (cv j) by rewrite (proper_layer P).
by have := NV j; rewrite length_cut Ln fE; apply.
Qed.

Lemma value_shaped a : (a < n + length ls)%N -> shaped_as (sh a) (row V a).
Proof.
move=> aN; have [_ Lt _ _] := compile_all_nth dl dk (0, 0, 0)%N compiled.
have S := network_shaped (0 : K) 1 plus mult ss ls net ts X ok LX.
by apply: (forall2_nth _ _ S); rewrite Lt.
Qed.

Lemma pick a b c (F : nat * nat * nat -> K) (z0 : 'I_a * 'I_b * 'I_c) q : numbers z0 = q ->
  \sum_(z : 'I_a * 'I_b * 'I_c) (numbers z == q)%:R * F (numbers z) = F q.
Proof.
move=> <-; rewrite (bigD1 z0) //= eqxx mul1r big1 ?addr0 // => z zz.
rewrite (_ : (numbers z == numbers z0) = false) ?mul0r //; apply/negbTE; apply: contra zz => /eqP [].
case: z z0 => [[z1 z2] z3] [[y1 y2] y3] /= e1 e2 e3.
by rewrite (val_inj e1 : z1 = y1) (val_inj e2 : z2 = y2) (val_inj e3 : z3 = y3).
Qed.

Lemma one_source j a q : (j < length ls)%N -> (a < n + j)%N -> inside (sh a) q ->
  \sum_(k < j.+1) \sum_(z : Out k) (source_at k a (Some q) (numbers z))%:R * made z = entry (row V a) q.1.1 q.1.2 q.2.
Proof.
move=> jN aj iq; have [_ Lt Ft _] := compile_all_nth dl dk (0, 0, 0)%N compiled.
case: (ltnP a n) => [an|na].
  have shE : List.nth a ss (0, 0, 0)%N = sh a by rewrite -{1}Ft nth_take.
  rewrite big_ord_recl [X in _ + X]big1 ?addr0 => [|k _]; last first.
    by rewrite big1 // => z _; rewrite /source_at /= ltn_eqF ?mul0r // (leq_trans an) ?leq_addr.
  have iq' : inside (List.nth a ss (0, 0, 0)%N) q by rewrite shE.
  have zN := spot_entries an iq'.
  rewrite /source_at an /=.
  rewrite (pick (made_at 0) (z0 := (Ordinal zN, ord0, ord0) : 'I_(entries ss) * 'I_1 * 'I_1)) //=.
  rewrite -(cut_entry LX an iq'); have [_ FV _] := forward_nth dk net (cut ss X).
  by rewrite length_cut in FV; rewrite -[in LHS]FV nth_take.
have aE : a = (n + (a - n))%N by rewrite subnKC.
have aj' : ((a - n).+1 < j.+1)%N by rewrite ltnS ltn_subLR.
rewrite (bigD1 (Ordinal aj')) //= [X in _ + X]big1 ?addr0 => [|[[|k] kj] kk]; first last.
- rewrite big1 // => z _; rewrite /source_at /= (_ : (a == n + k)%N = false) ?mul0r //.
  apply/negbTE; apply: contra kk => /eqP e; apply/eqP/val_inj => /=; by rewrite e addKn.
- by rewrite big1 // => z _; rewrite /source_at /= ltnNge na /= mul0r.
have [i u v] : [/\ q.1.1 < co (a - n).+1, q.1.2 < ho (a - n).+1 & q.2 < wo (a - n).+1]%N.
  by rewrite /co /ho /wo -aE; apply/and3P.
have qE : numbers (Ordinal i, Ordinal u, Ordinal v) = q by rewrite /numbers /= -!surjective_pairing.
rewrite -(pick (fun p => entry (row V a) p.1.1 p.1.2 p.2) qE); apply: eq_bigr => z _.
suff G p : (source_at (a - n).+1 a (Some q) p)%:R * made_at (a - n).+1 p =
    (p == q)%:R * entry (row V a) p.1.1 p.1.2 p.2.
  exact: (G (numbers z)).
by rewrite /source_at /made_at -aE eqxx.
Qed.

Lemma feed_at j (y : Inp j.+1) : (j < length ls)%N ->
  cnn_feed resizing (fun _ _ => 1) made y =
  read (gather plus mult (List.firstn (n + j) V) (from (cv j))) (position (cv j) (en j) (numbers y)).
Proof.
move=> jN; have [P ne F _] := layer_at jN; rewrite /cnn_feed.
transitivity (\sum_(f <- from (cv j)) f.2 * \sum_(k < j.+1) \sum_(z : Out k)
    (source_at k f.1 (position (cv j) (en j) (numbers y)) (numbers z))%:R * made z).
  transitivity (\sum_(k < j.+1) \sum_(f <- from (cv j)) f.2 * \sum_(z : Out k)
      (source_at k f.1 (position (cv j) (en j) (numbers y)) (numbers z))%:R * made z); last first.
    by rewrite exchange_big; apply: eq_bigr => f _; rewrite mulr_sumr.
  apply: eq_bigr => k _; rewrite /= mul1r /resizing; under eq_bigr do rewrite mulr_suml.
  rewrite exchange_big; apply: eq_bigr => f _; rewrite mulr_sumr; apply: eq_bigr => z _.
  by rewrite mulrA.
case E: (position _ _ _) => [q|]; last first.
  by rewrite /= big1 // => f _; rewrite big1 ?mulr0 // => k _; rewrite big1 // => z _; rewrite mul0r.
have [i u v] := position_inside (y := numbers y) P (ltn_ord y.1.1) (ltn_ord y.1.2) (ltn_ord y.2) E.
have iq : inside (en j) q by apply/and3P.
have -> x : read x (Some q) = entry x q.1.1 q.1.2 q.2 by case: (q) => [[]].
rewrite (@gather_is_cnn_feed K (en j).1.1 (en j).1.2 (en j).2) //; last first.
  move=> f /F [fj <-]; rewrite nth_take //.
  have : shaped_as (sh f.1) (row V f.1) by apply: value_shaped; apply: ltn_trans fj _; rewrite ltn_add2l.
  by case: (sh f.1) => [[c h] w].
have in_from f : f \in from (cv j) -> List.In f (from (cv j)).
  by elim: (from (cv j)) => //= g gs IH; rewrite inE => /orP [/eqP ->|/IH]; [left|right].
rewrite big_seq [RHS]big_seq; apply: eq_bigr => f /in_from /F [fj fE].
by rewrite one_source ?fE // nth_take.
Qed.

Theorem run_is_cnn j : made (i := j.+1) =1
  cnn_layer (down stride 1) (across stride 1) (down dilation 1) (across dilation 1)
    (down before 0) (down after 0) (across before 0) (across after 0) modes kern bias_at
    (cnn_feed resizing (fun _ _ => 1) made (j := j)).
Proof.
case: (ltnP j (length ls)) => [jN|jN] o; last first.
  have [_ Lt _ _] := compile_all_nth dl dk (0, 0, 0)%N compiled.
  case: o => [[o u] v]; have := ltn_ord o; rewrite {2}/co /sh List.nth_overflow //.
  by apply/leP; rewrite Lt leq_add2l.
have [P ne F E] := layer_at jN; rewrite /made /made_at E.
have xs : shaped_as (en j) (gather plus mult (List.firstn (n + j) V) (from (cv j))).
  apply: (gather_shaped ne) => f /F [fj <-]; rewrite nth_take //.
  by apply: value_shaped; apply: ltn_trans fj _; rewrite ltn_add2l.
rewrite (layer_is_cnn_layer (o : 'I_(sh (n + j)).1.1 * 'I_(sh (n + j)).1.2 * 'I_(sh (n + j)).2) P xs) /cnn_layer.
by congr (_ + _); apply: conv_ext => y; rewrite feed_at.
Qed.

(* hence the whole run is the affine map of the theory *)
Theorem run_is_affine L :
  vec (made (i := L)) = Wof theirs L *m vec (made (i := 0)) + Bof theirs (cnn_bias ho wo bias_at) L.
Proof. exact: (cnn_affine run_is_cnn). Qed.

(* what goes in, and what comes out *)
Theorem run_takes (z : Out 0) : made z = num X z.1.1.
Proof. by []. Qed.
Theorem run_returns L (o : Out L) : length ls = L -> ls <> nil ->
  num (output 0 1 plus mult net (cut ss X)) (spot (co L, ho L, wo L) (numbers o)) = made o.
Proof.
case: L o => [|j] o E ne; first by move: E ne; case: (ls).
have jN : (j < length ls)%N by rewrite E.
have [Ln _ _ _] := compile_all_nth dl dk (0, 0, 0)%N compiled; have [LV _ _] := forward_nth dk net (cut ss X).
rewrite length_cut Ln E addnS in LV; rewrite /output (list_last nil LV).
have S : shaped_as (co j.+1, ho j.+1, wo j.+1) (row V (n + j)).
  have : shaped_as (sh (n + j)) (row V (n + j)) by apply: value_shaped; rewrite ltn_add2l.
  by rewrite /co /ho /wo; case: (sh (n + j)) => [[c h] w].
by rewrite (flat_entry S) //; apply/and3P; split; exact: ltn_ord.
Qed.
End Network.
End Run.

Print Assumptions run_is_cnn.
Print Assumptions run_is_affine.
Print Assumptions run_takes.
Print Assumptions run_returns.
