(******************************************************************************)
(*      The values of a network, one by one                                   *)
(*                                                                            *)
(* What a compiled network makes, layer after layer; its inputs are entries   *)
(* of one list, and what it returns is one list, row by row.                  *)
(*                                                                            *)
(*   spot (c, h, w) (i, u, v) == where that entry stands in the list          *)
(*   inside s q == q is a position of the shape s                             *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List PeanoNat.
From AlgebraicCNN Require Import flatten pattern padding correlation.
From AlgebraicCNN.checker Require Import evaluator patterns shapes bridge sums notations.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Lemma forall2_nth (A B : Type) (P : A -> B -> Prop) d e l m i : List.Forall2 P l m -> (i < length l)%N ->
  P (List.nth i l d) (List.nth i m e).
Proof. by move=> F; elim: F i => [|a b l' m' ab _ IH] [|i] //= /IH. Qed.

Lemma firstn_last (A : Type) d (us : list A) ss q : List.firstn (length ss).+1 us = List.app ss (q :: nil) ->
  List.firstn (length ss) us = ss /\ List.nth (length ss) us d = q.
Proof.
move=> E; have -> : us = List.app ss (q :: List.skipn (length ss).+1 us).
  by rewrite -{1}(List.firstn_skipn (length ss).+1 us) E -List.app_assoc.
rewrite List.firstn_app List.app_nth2 // PeanoNat.Nat.sub_diag List.firstn_all List.app_nil_r; split=> //.
Qed.

Lemma list_last (A : Type) (d : A) l m : length l = m.+1 -> List.last l d = List.nth m l d.
Proof. by elim: l m => // a [|b l] IH [|m] //= [E]; exact: (IH m (congr1 S E)). Qed.

(* the layers of a network, one by one *)
Section Compiled.
Variables (R : Type) (dl : convolution R) (dk : layer R) (dq : shape).

Lemma compile_all_nth ss ls net ts : compile_all ss ls = Some (net, ts) ->
  [/\ length net = length ls, length ts = (length ss + length ls)%N, List.firstn (length ss) ts = ss &
      forall j, (j < length ls)%N -> compile (List.firstn (length ss + j) ts) (List.nth j ls dl) =
        Some (List.nth j net dk, List.nth (length ss + j) ts dq)].
Proof.
elim: ls ss net ts => [|l ls IH] ss net ts /=.
  by case=> <- <-; rewrite addn0; split=> //; exact: List.firstn_all.
case C: (compile ss l) => [[k q]|] //; case A: (compile_all _ ls) => [[ks us]|] // -[<- <-].
have [Lk Lu Fu Nu] := IH _ _ _ A; rewrite List.app_length /= plusE addn1 in Lu Fu Nu.
have [Fs Nq] := firstn_last dq Fu.
split=> [||//|[|j] jN] /=; first by rewrite Lk.
- by rewrite Lu addSnnS.
- by rewrite addn0 Fs Nq.
by have := Nu j jN; rewrite addSnnS.
Qed.
End Compiled.

Lemma entering_all (R : Type) ss (fs : list (nat * R)) s d : entering ss fs = Some s ->
  fs <> nil /\ forall f, List.In f fs -> (f.1 < length ss)%N /\ List.nth f.1 ss d = s.
Proof.
case: fs => // f fs; rewrite /entering; case N: (List.nth_error ss f.1) => [q|] //.
case A: (List.forallb _ _) => // -[<-]; split=> // f' I.
move/List.forallb_forall: A => /(_ f' I); case N': (List.nth_error ss f'.1) => [q'|] // /same_shapeP ->.
split; last exact: List.nth_error_nth N'.
by apply/ltP/List.nth_error_Some; rewrite N'.
Qed.

Section Run.
Variable K : comRingType.
Local Notation tensor := (list (list (list K))).
Local Notation run := (evaluator.forward (0 : K) 1 plus mult).

Lemma forward_nth (dk : layer K) net (xs : list tensor) :
  [/\ length (run net xs) = (length xs + length net)%N, List.firstn (length xs) (run net xs) = xs &
      forall j, (j < length net)%N -> row (run net xs) (length xs + j)%N =
        conv 0 1 plus mult (List.nth j net dk)
          (gather plus mult (List.firstn (length xs + j) (run net xs)) (feeds (List.nth j net dk)))].
Proof.
rewrite /run; elim: net xs => [|k net IH] xs /=.
  by rewrite addn0; split=> //; exact: List.firstn_all.
have := IH (step 0 1 plus mult xs k); set V := List.fold_left _ _ _.
have -> : length (step 0 1 plus mult xs k) = (length xs).+1 by rewrite List.app_length /= plusE addn1.
move=> [LV FV NV]; have [Fs Nv] := firstn_last nil FV.
split=> // [|[|j] jN]; first by rewrite LV addSnnS.
- by rewrite addn0 Fs Nv.
by have := NV j jN; rewrite addSnnS.
Qed.

(* the inputs are entries of X *)
Definition spot (s : shape) (q : nat * nat * nat) : nat := (q.1.1 * (s.1.2 * s.2) + (q.1.2 * s.2 + q.2))%N.
Definition inside (s : shape) (q : nat * nat * nat) : bool := [&& q.1.1 < s.1.1, q.1.2 < s.1.2 & q.2 < s.2]%N.

Lemma spot_inside s q : inside s q -> (spot s q < s.1.1 * s.1.2 * s.2)%N.
Proof.
case/and3P => i u v; rewrite /spot -mulnA.
have uv : (q.1.2 * s.2 + q.2 < s.1.2 * s.2)%N.
  by apply: (@leq_trans (q.1.2.+1 * s.2)%N); rewrite ?leq_mul2r ?u ?orbT // mulSnr ltn_add2l.
by apply: (@leq_trans (q.1.1.+1 * (s.1.2 * s.2))%N); rewrite ?leq_mul2r ?i ?orbT // mulSnr ltn_add2l.
Qed.
Lemma spot_entries ss a q : (a < length ss)%N -> inside (List.nth a ss (0, 0, 0)%N) q ->
  (entries (List.firstn a ss) + spot (List.nth a ss (0, 0, 0)%N) q < entries ss)%N.
Proof.
elim: ss a => [|[[c h] w] ss IH] [|a] //= aN iq.
  by apply: leq_trans (leq_addr _ _); rewrite add0n; exact: (spot_inside iq).
by rewrite -addnA ltn_add2l; exact: IH.
Qed.
Theorem cut_entry ss (X : list K) a q : length X = entries ss -> (a < length ss)%N ->
  inside (List.nth a ss (0, 0, 0)%N) q ->
  entry (row (cut ss X) a) q.1.1 q.1.2 q.2 =
  num X (entries (List.firstn a ss) + spot (List.nth a ss (0, 0, 0)%N) q)%N.
Proof.
elim: ss X a => [|[[c h] w] ss IH] X [|a] //= LX aN iq; last first.
  rewrite IH ?List.skipn_length ?LX //; last by rewrite plusE !multE minusE addKn.
  by rewrite nth_drop !multE plusE addnA.
have lt := spot_inside iq; have /and3P [/= i u v] := iq.
have uv : (q.1.2 * w + q.2 < h * w)%N.
  by apply: (@leq_trans (q.1.2.+1 * w)%N); rewrite ?leq_mul2r ?u ?orbT // mulSnr ltn_add2l.
have hw : (0 < h * w)%N by apply: leq_ltn_trans uv.
set F := List.firstn _ X.
have LF : length F = (c * (h * w))%N
  by rewrite List.firstn_length LX minE !multE plusE (minn_idPl _) ?mulnA // leq_addr.
have [Lc _] := chop_length (h * w) (elimT ltP hw) c c F (le_n c) LF.
rewrite /entry /shaped (nth_maps _ nil) ?Lc // nth_chop // nth_chop // nth_take ?add0n //.
Qed.

(* entries in row-major order are those of the list *)
Lemma flat_entry s (x : tensor) q : shaped_as s x -> inside s q -> num (flat x) (spot s q) = entry x q.1.1 q.1.2 q.2.
Proof.
case: s q => [[c h] w] [[i u] v] [Lx F] /and3P [/= iN uN vN]; rewrite /flat /spot /entry /=.
have /List.Forall_forall F' := F; have [Li Fi] := F' _ (nth_in nil (eq_rect _ (fun m => (i < m)%N) iN _ (esym Lx))).
have Lc : List.Forall (fun r => length r = w) (List.concat x).
  by apply/List.Forall_concat/(List.Forall_impl _ _ F) => im [].
have Lm : List.Forall (fun r => length r = h) x by apply: (List.Forall_impl _ _ F) => im [].
rewrite [in X in (X + _)%N]mulnA addnA -mulnDl (@nth_concat _ _ w) //; last first.
  by rewrite (length_concat Lm) Lx; apply: (@leq_trans (i.+1 * h)%N); rewrite ?leq_mul2r ?iN ?orbT // mulSnr ltn_add2l.
by rewrite (@nth_concat _ _ h) // Lx.
Qed.

Lemma gather_shaped s (vs : list tensor) fs : fs <> nil ->
  (forall f, List.In f fs -> shaped_as s (row vs f.1)) -> shaped_as s (gather plus mult vs fs).
Proof.
case: fs => // f fs _ S; rewrite /gather.
have Sf : shaped_as s (feed mult vs f) by apply: tscale_shape; apply: S; left.
have {S} : forall q, List.In q fs -> shaped_as s (row vs q.1) by move=> q I; apply: S; right.
elim: fs (feed mult vs f) Sf => [|q fs IH] acc Sa S //=; apply: IH; last by move=> p I; apply: S; right.
by apply: tadd_shape => //; apply: tscale_shape; apply: S; left.
Qed.

Lemma conv_ext (ci co eh ew oh ow kh kw g s1 s2 d1 d2 : nat) mode (t b l r : nat)
    (k : 'I_co -> 'I_(ci %/ g) -> 'I_kh -> 'I_kw -> K) (x y : 'I_ci * 'I_eh * 'I_ew -> K) (o : 'I_co * 'I_oh * 'I_ow) :
  x =1 y -> conv2d (g := g) s1 s2 d1 d2 k (pad2 mode (top := t) (bottom := b) (left := l) (right := r) x) o =
            conv2d (g := g) s1 s2 d1 d2 k (pad2 mode (top := t) (bottom := b) (left := l) (right := r) y) o.
Proof.
move=> xy; case: o => [[o u] v]; rewrite /conv2d; do 3 (apply: eq_bigr => ? _); congr (_ * _).
by rewrite /at3 /value; case: place => // p; rewrite /pad2 /select; case: pad2_src.
Qed.
End Run.

Print Assumptions cut_entry.
